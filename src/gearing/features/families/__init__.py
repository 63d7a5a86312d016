"""The features of this package, one file per family; they register when `gearing.features` is imported."""
