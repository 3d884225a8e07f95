"""What is measured on sound: pure functions of arrays, batched over leading axes, one kind of question a file."""
