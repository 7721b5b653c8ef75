"""Reading clips: probing, decode passes, folders of pictures, time stamps, damage."""
