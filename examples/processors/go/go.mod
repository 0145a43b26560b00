module example.com/processors

go 1.24
