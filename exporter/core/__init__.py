"""What every room speaks: values, errors, interfaces and small helpers. Imports no other room; sends nothing."""
