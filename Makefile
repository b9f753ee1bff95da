# SPDX-License-Identifier: Apache-2.0
# What people and scripts type; meson does the work.
PREFIX ?= /usr/local
BUILD ?= build
DESTDIR ?=

MESON_OPTIONS ?=

.PHONY: all setup install check sanitize bench demo clean

# BUILD/stage holds the programs as they are installed, whatever the prefix, to be run and tested from the tree.
all: $(BUILD)/build.ninja
	ninja -C $(BUILD)
	rm -rf $(BUILD)/root
	meson install -C $(BUILD) --no-rebuild --quiet --destdir "$(abspath $(BUILD))/root"
	cd $(BUILD) && ln -sfn "$$(dirname "$$(dirname "$$(find root -path '*/bin/dvm')")")" stage

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix "$(PREFIX)" $(MESON_OPTIONS)

# The packages of packages/debian-12, where any is missing.
setup:
	tests/setup

install: $(BUILD)/build.ninja
	meson configure $(BUILD) -Dprefix="$(abspath $(PREFIX))"
	ninja -C $(BUILD)
	meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir "$(abspath $(DESTDIR))")

check: setup
	$(MAKE) all
	tests/run

# Unit and integration tests with ASan and UBSan in all programs but those of the D-VM, which are static.
SANITIZED = $(BUILD)-sanitized
sanitize: setup
	$(MAKE) all
	$(MAKE) all BUILD=$(SANITIZED) MESON_OPTIONS="-Db_sanitize=address,undefined"
	cp -a $(BUILD)/stage/lib/dvm/image/. $(SANITIZED)/stage/lib/dvm/image/
	DVM_BUILD="$(abspath $(SANITIZED))" DVM_AGENT_BUILD="$(abspath $(BUILD))" \
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 tests/run unit integration

bench: setup
	$(MAKE) all
	tests/images/all
	tests/lib/host tests/bench/run

demo: setup
	$(MAKE) all
	KEEP=$(KEEP) demo/run

clean:
	rm -rf $(BUILD) $(SANITIZED)
