"""Files: written whole or not at all (storage.py), JSON, safetensors and plots."""
