"""What is calculated of images: cleaning, parameters, showers, squares. No file is read here."""
