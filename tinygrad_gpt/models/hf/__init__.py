"""What reads and writes the files of Hugging Face transformers: folders, the hub, layouts of names, models."""
