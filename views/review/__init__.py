"""The review page: a small local web application to hear calls and settle their marks."""
