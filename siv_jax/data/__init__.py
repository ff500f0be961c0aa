"""From files to frames: pictures, clips, arrays and data sets."""
