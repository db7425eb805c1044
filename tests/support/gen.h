/* A deterministic source of signed SSB messages, for tests and measurements: the same options give the same bytes.
 *
 * Feeds, threads, votes and profiles refer to each other as on the real network: authors are zipf distributed, replies go to
 * recent threads, ids and ed25519 signatures are real. Not thread-safe. */
#ifndef TESTS_SUPPORT_GEN_H
#define TESTS_SUPPORT_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

#define GEN_AUTHORS_MAX 100000

struct gen_options {
    uint64_t seed;
    uint32_t authors;        /* 0 = 1000 */
    uint32_t step;           /* longest time between two messages, ms; 0 = 350 */
    bool quirks;             /* mix in what no client writes, but the feed format allows */
    const uint8_t *hmac_key; /* 32 bytes, used while gen_open runs and after; NULL = the main network */
};

struct gen;

int gen_open(const struct gen_options *options, struct gen **ret_gen);
void gen_close(struct gen *gen); /* NULL is fine */

/* The next record, {"key":…,"value":…,"timestamp":…} without a line end; borrowed until the next call. */
int gen_next(struct gen *gen, struct slice *ret_record);

#endif
