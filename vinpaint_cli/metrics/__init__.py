"""How good a filled picture is: pure functions of pictures, holes and flow."""
