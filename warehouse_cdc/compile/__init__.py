"""From a declared sync to SQL: parsing, columns, templates."""
