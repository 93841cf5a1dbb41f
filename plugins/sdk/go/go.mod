module tidegate

go 1.27
