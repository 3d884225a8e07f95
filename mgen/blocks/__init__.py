"""What a network that reads blocks of sound, and goes on, is made of; `mgen.models.block_lstm` is its family.

blocks -> history (levels, tones) -> recurrence (layers with a state), recall (moments) -> outlook -> mixture
"""
