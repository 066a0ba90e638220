"""Key ceremonies: authorities made on the record, by two people, from one configuration file."""
