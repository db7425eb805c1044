# Sluice: HTTP and WebSocket beside an SSB log. `make help` lists the targets.

# ---- what must be installed: the only list ---------------------------------------------------------------------
PACKAGES_BUILD = gcc libc6-dev pkg-config libmicrohttpd-dev libwebsockets-dev libjansson-dev libsodium-dev libssl-dev liblmdb-dev libutf8proc-dev esbuild node-markdown-it node-punycode golang-github-kyokomi-emoji-dev
PACKAGES_RUN   = curl
PACKAGES_TEST  = libcriterion-dev ca-certificates procps chromium $(PACKAGES_RUN) $(PACKAGES_NODE)
PACKAGES_CHECK = clang llvm libclang-rt-14-dev clang-format clang-tidy cppcheck universal-ctags gcovr valgrind
PACKAGES_BENCH = g++ libsimdjson-dev util-linux $(PACKAGES_NODE)
PACKAGES_ATTACK = slowhttptest util-linux procps $(PACKAGES_NODE)
# Node only where there is none yet: people bring their own.
PACKAGES_NODE := $(if $(and $(shell command -v node),$(shell command -v npm)),,nodejs npm)

# ---- flavours: objects of each kind live in a folder of their own ----------------------------------------------
FLAVOUR ?= release
OUT     ?= build
B       := $(OUT)/$(FLAVOUR)
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes \
           -Wswitch-enum -Wvla -Wformat=2
LIBS_PC  = libmicrohttpd libwebsockets jansson libsodium libcrypto lmdb libutf8proc
CFLAGS  ?= -O2 -g
SLUICE_CFLAGS = -std=c17 -D_GNU_SOURCE -I. $(WARNINGS) $(FLAVOUR_CFLAGS) $(CFLAGS) -pthread -MMD -MP
SLUICE_LDFLAGS = $(FLAVOUR_LDFLAGS) $(LDFLAGS) -pthread
LDLIBS_SLUICE = $(shell pkg-config --libs $(LIBS_PC)) -lm

FLAVOUR_CFLAGS_release = -fno-plt -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
FLAVOUR_LDFLAGS_release = -pie -Wl,-z,relro,-z,now
SAN_asan = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAVOUR_CFLAGS_asan = $(SAN_asan)
FLAVOUR_LDFLAGS_asan = $(SAN_asan)
FLAVOUR_CFLAGS_tsan = -fsanitize=thread -fno-omit-frame-pointer
FLAVOUR_LDFLAGS_tsan = -fsanitize=thread
FLAVOUR_CFLAGS_fuzz = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FLAVOUR_LDFLAGS_fuzz = -fsanitize=address,undefined
FLAVOUR_CFLAGS_coverage = --coverage -fprofile-update=prefer-atomic
FLAVOUR_LDFLAGS_coverage = --coverage
FLAVOUR_CFLAGS = $(FLAVOUR_CFLAGS_$(FLAVOUR))
FLAVOUR_LDFLAGS = $(FLAVOUR_LDFLAGS_$(FLAVOUR))

# ---- sources ---------------------------------------------------------------------------------------------------
objects = $(patsubst %,$(B)/obj/%.o,$(basename $(1)))
LIB_SRC    := $(wildcard store/*.c) $(wildcard views/*.c)
SERVER_SRC := $(filter-out server/main.c,$(wildcard server/*.c)) server/embed.S
LIB_OBJ     = $(call objects,$(LIB_SRC))
SERVER_OBJ  = $(call objects,$(SERVER_SRC))
MAIN_OBJ    = $(call objects,server/main.c)

SUITES      = unit logs views
unit_SRC   := $(wildcard tests/unit/*/*.c)
logs_SRC   := $(wildcard tests/logs/*.c)
views_SRC  := $(wildcard tests/views/*.c)
SUPPORT_SRC := $(filter-out %_main.c %_tool.c,$(wildcard tests/support/*.c))
SUPPORT_OBJ = $(call objects,$(SUPPORT_SRC))
TOOLS       = $(B)/tests/gen $(B)/tests/canon_tool
STRESS     := $(patsubst tests/stress/%.c,%,$(wildcard tests/stress/*.c))
FUZZERS    := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help run test check bench clean format format-check lint layers spec coverage fuzz mutants stress crash docker-test systemd-test fresh-test \
        deps-build deps-run deps-test deps-check deps-bench deps-attack bench-instructions attack soak soak-proof program suites tools npm print-runtime-packages test-only

all: deps-build ## build the program as build/sluice
	@$(MAKE) --no-print-directory program

program: $(OUT)/sluice

$(OUT)/sluice: $(OUT)/release/sluice
	@cp -f $< $@.new && mv -f $@.new $@

help: ## this list
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-19s %s\n", $$1, $$2}'

# ---- compiling -------------------------------------------------------------------------------------------------
$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_CFLAGS) -c $< -o $@
$(B)/obj/%.o: %.S
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_CFLAGS) -c $< -o $@
$(B)/obj/server/embed.o: $(wildcard server/web/*) api-spec/openapi.yaml api-spec/asyncapi.yaml $(wildcard api-spec/client/*.js) $(OUT)/web/emoji.js $(OUT)/web/markdown-it.js
$(B)/obj/server/embed.o: SLUICE_CFLAGS += -Wa,-I$(OUT)
MARKDOWN_IT = /usr/share/nodejs/markdown-it/index.js
$(OUT)/web/markdown-it.js: $(MARKDOWN_IT)
	@mkdir -p $(@D)
	@NODE_PATH=/usr/share/nodejs esbuild $< --bundle --format=esm --minify --legal-comments=inline --log-level=warning \
	    --banner:js="/* markdown-it with linkify-it, mdurl, uc.micro and punycode; MIT licence */" --outfile=$@
EMOJI_NAMES = /usr/share/gocode/src/github.com/kyokomi/emoji/v2/emoji_codemap.go
$(OUT)/web/emoji.js: server/emoji.sed $(EMOJI_NAMES)
	@mkdir -p $(@D)
	@sed -nE -f $^ > $@
QUIET = $(if $(V),,@echo "  cc $(FLAVOUR) $@";)

$(B)/sluice: $(MAIN_OBJ) $(SERVER_OBJ) $(LIB_OBJ)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@

define suite_rules
$(B)/tests/$(1): $$(call objects,$$($(1)_SRC)) $$(SUPPORT_OBJ) $$(SERVER_OBJ) $$(LIB_OBJ)
	@mkdir -p $$(@D)
	$$(QUIET)$$(CC) $$(SLUICE_LDFLAGS) $$^ $$(LDLIBS_SLUICE) -lcriterion -o $$@
endef
$(foreach suite,$(SUITES),$(eval $(call suite_rules,$(suite))))

# The message scan and the references once more without SSE2, by their own tests.
PORTABLE_SRC = tests/unit/store/test_message.c tests/unit/store/test_ref.c tests/support/message_oracle.c tests/support/scratch.c \
               $(addprefix store/,message.c message_keys.c message_path.c ref.c json.c err.c buf.c digits.c)
$(B)/tests/portable: $(PORTABLE_SRC) $(wildcard store/*.h)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(filter-out -MMD -MP,$(SLUICE_CFLAGS)) -DMESSAGE_PORTABLE $(SLUICE_LDFLAGS) $(PORTABLE_SRC) -ljansson -lm -lcriterion -o $@

$(B)/tests/gen: $(B)/obj/tests/support/gen_main.o $(SUPPORT_OBJ) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@
$(B)/tests/canon_tool: $(B)/obj/tests/support/canon_tool.o $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@
$(B)/tests/stress_%: $(B)/obj/tests/stress/stress_%.o $(SUPPORT_OBJ) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@
$(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(SUPPORT_OBJ) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) -fsanitize=fuzzer $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@

$(B)/tests/replay_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay_main.o $(SUPPORT_OBJ) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@

# Programs that measure: each one source file of its name, and what they share.
BENCHES      = data log scan rebuild query http live limits posts hot
BENCH_SHARED = $(call objects,$(addprefix tests/bench/,bench.c flume.c net.c) \
                 $(addprefix tests/support/,gen.c gen_content.c gen_quirks.c gen_text.c))
$(B)/tests/bench_%: $(B)/obj/tests/bench/%.o $(BENCH_SHARED) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) $(BENCH_LIBS) -o $@
$(B)/tests/bench_scan: $(B)/obj/tests/bench/simdjson.o
$(B)/tests/bench_scan: BENCH_LIBS = -lsimdjson -lstdc++
$(B)/tests/bench_hot: BENCH_LIBS = -Wl,--wrap=mmap -Wl,--wrap=mdb_env_set_mapsize -Wl,--wrap=getrandom
$(B)/obj/tests/bench/simdjson.o: tests/bench/simdjson.cc
	@mkdir -p $(@D)
	$(QUIET)$(CXX) -std=c++17 -O2 -I. -fPIE -MMD -MP -c $< -o $@

# Faults of the C library, preloaded into the server: to see that a soak finds them.
$(B)/tests/soak_inject.so: tests/soak/inject.c
	@mkdir -p $(@D)
	$(QUIET)$(CC) -std=c17 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) -fPIC -shared $< -ldl -o $@

# Programs that crash on purpose: what the program calls goes through tests/crash/fault.c first.
CRASHES      = power faults start api check
CRASH_SHARED = $(call objects,$(addprefix tests/crash/,check.c disk.c fault.c))
comma       := ,
CRASH_WRAPS  = $(addprefix -Wl$(comma)--wrap=,$(shell cat tests/crash/fault.names))
$(B)/tests/crash_%: $(B)/obj/tests/crash/crash_%.o $(CRASH_SHARED) $(SUPPORT_OBJ) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $(CRASH_WRAPS) $^ $(LDLIBS_SLUICE) -o $@

suites: $(SUITES:%=$(B)/tests/%) $(CRASHES:%=$(B)/tests/crash_%) $(B)/tests/portable $(FUZZERS:fuzz_%=$(B)/tests/replay_%)
tools: $(TOOLS)

# ---- installing ------------------------------------------------------------------------------------------------
define install_missing
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	    $$as_root apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef
deps-build:
	$(call install_missing,$(PACKAGES_BUILD))
deps-run: deps-build
	$(call install_missing,$(PACKAGES_RUN))
deps-test: deps-build
	$(call install_missing,$(PACKAGES_TEST))
deps-check: deps-test
	$(call install_missing,$(PACKAGES_CHECK))
deps-bench: deps-build
	$(call install_missing,$(PACKAGES_BENCH))

deps-attack: deps-build
	$(call install_missing,$(PACKAGES_ATTACK))

# What a machine needs that only runs the program: for the second stage of docker/Dockerfile.
print-runtime-packages: $(OUT)/sluice
	@ldd $< | awk '$$3 ~ "^/" {print $$3}' | xargs -n1 readlink -f | sed 's,^/usr,,' | xargs -n1 -I{} dpkg-query -S '*{}' 2>/dev/null | \
	    sed 's/:.*//' | sort -u

# npm packages that the tests use as oracles and clients; never part of the program.
NPM_DIR = $(OUT)/npm
npm: $(NPM_DIR)/.installed
$(NPM_DIR)/.installed: tests/conformance/package.json
	@mkdir -p $(NPM_DIR)
	@cp tests/conformance/package.json $(NPM_DIR)/package.json
	@echo "  npm install"; cd $(NPM_DIR) && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

# ---- running ---------------------------------------------------------------------------------------------------
NODE_LOG ?= $(HOME)/.ssb/flume/log.offset
SAMPLE_DIR = $(OUT)/sample
run: deps-run all ## install, build, and serve the node's log, or a sample if there is none
	@if [ -r "$(NODE_LOG)" ]; then \
	    exec $(OUT)/sluice serve --follow "$(NODE_LOG)"; \
	else \
	    echo "No SSB log at $(NODE_LOG): serving a sample of made-up messages."; \
	    $(MAKE) --no-print-directory $(SAMPLE_DIR)/.made && exec $(OUT)/sluice serve --data $(SAMPLE_DIR); \
	fi
$(SAMPLE_DIR)/.made: tests/fixtures/sample.ndjson.gz
	@rm -rf $(SAMPLE_DIR) && mkdir -p $(SAMPLE_DIR)
	@gzip -dc $< | $(OUT)/sluice import --data $(SAMPLE_DIR) -
	@touch $@

# ---- testing ---------------------------------------------------------------------------------------------------
test: deps-test ## install, build, and run every suite; ends with "N passed, N failed"
	@$(MAKE) --no-print-directory -j2 program npm
	@$(MAKE) --no-print-directory -j2 FLAVOUR=asan $(OUT)/asan/sluice suites tools
	@$(MAKE) --no-print-directory -j2 FLAVOUR=tsan $(STRESS:%=$(OUT)/tsan/tests/%)
	@OUT=$(OUT) tests/run

check: deps-check ## everything that needs no quiet machine: format, lint, layers, test, mutants, coverage, instructions, fuzzers
	@$(MAKE) --no-print-directory format-check lint layers
	@SLUICE_TEST_DICE=random $(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory mutants
	@$(MAKE) --no-print-directory coverage
	@$(MAKE) --no-print-directory bench-instructions
	@$(MAKE) --no-print-directory fuzz

stress: deps-test ## the threaded parts under ThreadSanitizer
	@$(MAKE) --no-print-directory FLAVOUR=tsan $(STRESS:%=$(OUT)/tsan/tests/%)
	@OUT=$(OUT) tests/run stress

N ?= 10
crash: deps-test ## N (10) times a long run of kills, power cuts, faults and full disks: tests/crash/README.md
	@$(MAKE) --no-print-directory -j2 npm
	@$(MAKE) --no-print-directory -j2 FLAVOUR=asan $(OUT)/asan/sluice suites tools
	@OUT=$(OUT) tests/crash/run $(N)

FUZZ_SECONDS ?= 60
fuzz: deps-check ## FUZZ_SECONDS (60) of each fuzzer
	@$(MAKE) --no-print-directory -j2 FLAVOUR=fuzz CC=clang $(FUZZERS:%=$(OUT)/fuzz/tests/%)
	@for f in $(FUZZERS); do \
	    name=$${f#fuzz_}; mkdir -p $(OUT)/fuzz/corpus/$$name $(OUT)/fuzz/crashes; echo "fuzz $$name: $(FUZZ_SECONDS) s"; \
	    $(OUT)/fuzz/tests/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
	        -artifact_prefix=$(OUT)/fuzz/crashes/$$name- $(OUT)/fuzz/corpus/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

mutants: deps-test ## plant each bug of tests/mutants in a copy of the tree; MUTANTS="WORD…" for some of them
	@$(MAKE) --no-print-directory npm
	@OUT=$(OUT) tests/mutants/run $(MUTANTS)

# The server is built so, too: what the suites in Node make it run counts as well (but not what runs in a process that is killed with -9).
coverage: deps-check ## line coverage of store, views and server over all suites; names what is not covered
	@$(MAKE) --no-print-directory npm
	@$(MAKE) --no-print-directory -j2 FLAVOUR=coverage CFLAGS="-O0 -g" $(OUT)/coverage/sluice suites tools
	@find $(OUT)/coverage -name '*.gcda' -delete
	@OUT=$(OUT) FLAVOUR=coverage tests/run unit portable logs views replay e2e conformance
	@OUT=$(OUT) tests/coverage

SOAK_ENV = OUT=$(OUT) SLUICE_TEST_BIN=$(abspath $(OUT))/sluice SLUICE_TEST_GEN=$(abspath $(OUT))/release/tests/gen \
           SLUICE_TEST_ROOT=$(CURDIR) NODE_PATH=$(abspath $(NPM_DIR))/node_modules
SOAK_NEEDS = program npm $(OUT)/release/tests/gen $(OUT)/release/tests/soak_inject.so
soak: deps-test ## SOAK_MINUTES (30) of load and restarts: memory, descriptors and lag flat, nothing lost
	@$(MAKE) --no-print-directory -j2 $(SOAK_NEEDS)
	@$(SOAK_ENV) tests/soak/run
soak-proof: deps-test ## a minute's soak with each fault that it exists to find
	@$(MAKE) --no-print-directory -j2 $(SOAK_NEEDS)
	@$(SOAK_ENV) tests/soak/proof

# ---- measuring -------------------------------------------------------------------------------------------------
bench: bench-all ## measure everything against peers and the machine; BENCH_N=100000 for a quick look
bench-%: deps-bench ## one group of it: log scan rebuild query http pages ws append
	@$(MAKE) --no-print-directory -j2 program $(BENCHES:%=$(OUT)/release/tests/bench_%)
	@OUT=$(OUT) tests/bench/run $*
attack: deps-attack ## hostile clients, and what a healthy one notices; ATTACK=WORD for some of them
	@$(MAKE) --no-print-directory -j2 program $(OUT)/release/tests/gen $(OUT)/release/tests/attack_healthy
	@OUT=$(OUT) tests/attack/run
$(B)/tests/attack_healthy: $(B)/obj/tests/attack/healthy.o $(BENCH_SHARED) $(SERVER_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(SLUICE_LDFLAGS) $^ $(LDLIBS_SLUICE) -o $@
bench-instructions: deps-check ## instructions of the hot loops, held against tests/bench/instructions.json
	@$(MAKE) --no-print-directory -j2 $(OUT)/release/tests/bench_hot
	@OUT=$(OUT) tests/bench/instructions $(WRITE)

# ---- habits ----------------------------------------------------------------------------------------------------
C_FILES = $(shell git ls-files '*.c' '*.h')
format: deps-check ## clang-format all of it
	@clang-format -i $(C_FILES)
format-check: deps-check
	@clang-format --dry-run -Werror $(C_FILES)
lint: deps-check ## compiler warnings as errors (gcc, clang), clang-tidy, cppcheck, banned functions
	@tests/lint
layers: ## no include may go up: store <- views <- server
	@! grep -nE '#include "(views|server)/' store/*.[ch] || { echo "store/ includes what is above it"; exit 1; }
	@! grep -nE '#include "server/' views/*.[ch] || { echo "views/ includes what is above it"; exit 1; }
	@! grep -nlE '#include <(microhttpd|libwebsockets)' $(filter-out server/http%.c server/http%.h server/ws%.c server/ws%.h server/listen%.c,$(wildcard store/* views/* server/*.[ch])) \
	    || { echo "only the adapters in server/ may know libmicrohttpd and libwebsockets"; exit 1; }
spec: deps-test ## routes.def and openapi.yaml equal; specs linted; examples replayed
	@$(MAKE) --no-print-directory program npm && OUT=$(OUT) FLAVOUR=release tests/run spec
docker-test: ## build docker/Dockerfile and use its program, with docker or buildah
	@docker/test
systemd-test: ## docker/sluice.service against what the program does; wants root, systemd and strace installed
	@docker/test-systemd
fresh-test: ## both commands of the README on a new Debian 12 and 13; wants root and debootstrap, and half an hour
	@docker/test-fresh
clean: ## remove build/
	@rm -rf $(OUT)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
