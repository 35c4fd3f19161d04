package publish

type S3Destination struct{ leftOut }

func NewS3Destination(string, string) *S3Destination { return &S3Destination{} }
