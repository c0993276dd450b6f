"""The auditor's questions, each a file of SQL, and how their answers are asked for and shown."""
