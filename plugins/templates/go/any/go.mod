module {{module}}

go 1.27

require tidegate v0.0.0

replace tidegate => ./sdk/go
