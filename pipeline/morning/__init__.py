"""What is made of the results: none of it is a stage."""
