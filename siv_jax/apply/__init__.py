"""What people do with a trained model beside drawing samples: edits, repairs, other sizes, animations."""
