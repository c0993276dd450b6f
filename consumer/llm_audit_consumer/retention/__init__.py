"""What is kept how long: policies, legal holds, and the runs that let rows and columns expire."""
