"""Sphinx configuration: pages, reference and gallery, built by `make docs`."""

import atexit
import os
import shutil
import sys
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the extensions beside it

# Pages show compilations from the start, and progress bars their last line.
os.environ["SCIAD_CACHE_DIR"] = cache = tempfile.mkdtemp()
os.environ["TQDM_MININTERVAL"] = "60"
atexit.register(shutil.rmtree, cache)

project = "sciad"
author = "sciad contributors"
copyright = "sciad contributors"
version = release = installed_version("sciad")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "_executed",
    "_mathml",
    "_differentiates",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/README.rst", "sg_execution_times.rst"]
default_role = "py:obj"                        # `solve_ivp` links to its page

autosummary_generate = True
autosummary_ignore_module_all = False          # a module's page lists its __all__
autodoc_typehints = "none"                     # the docstrings name the types
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
copybutton_prompt_text = ">>> |... "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "run_stale_examples": True,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "capture_repr": (),
    "thumbnail_size": (480, 360),
    "min_reported_time": 0,
    "image_scrapers": ("matplotlib",),
    "backreferences_dir": None,
}

html_theme = "pydata_sphinx_theme"
html_title = "sciad"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["sciad.css"]
html_show_sourcelink = False
single_pages = [
    "quickstart", "errors", "complex", "singular", "gpu", "numbers", "coming_from", "compiler",
    "benchmarks", "design", "differentiates",
]
html_sidebars = {page: [] for page in single_pages}
html_theme_options = {
    "logo": {"text": "sciad"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": dict.fromkeys(single_pages, ["page-toc"]),
    "pygments_light_style": "tango",
}
