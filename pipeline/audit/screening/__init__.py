"""Screening: what of the images of a class turns other images into it, wherever and of any kind?"""
