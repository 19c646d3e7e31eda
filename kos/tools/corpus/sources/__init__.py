"""What ships embedded. Each module turns the data of one package, or our own, into documents."""
