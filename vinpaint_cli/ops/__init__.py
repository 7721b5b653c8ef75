"""Stateless tensor functions: flow, propagation, blending."""
