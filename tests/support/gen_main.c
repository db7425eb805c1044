/* Prints N generated records, one a line. See --help. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "store/err.h"
#include "tests/support/gen.h"

static const char usage[] =
    "usage: gen N [--seed S] [--authors A] [--step MS] [--hmac KEY] [--quirks]\n"
    "Prints N signed SSB messages as NDJSON {key,value,timestamp}; the same options give the same bytes.\n"
    "  --seed S     a number (default 42)\n"
    "  --authors A  how many feeds (default 1000)\n"
    "  --step MS    longest time between two messages (default 350)\n"
    "  --hmac KEY   32 bytes in base64, of a network of its own; no = the main network (default)\n"
    "  --quirks     mix in what no client writes, but the feed format allows\n";

static bool number_read(const char *text, uint64_t max, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > max) return false;
    *ret_number = number;
    return true;
}

static bool hmac_read(const char *text, uint8_t space[32], const uint8_t **ret_key)
{
    size_t len = 0;
    if (strcmp(text, "no") == 0) return true;
    if (sodium_base642bin(space, 32, text, strlen(text), NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        len != 32)
        return false;
    *ret_key = space;
    return true;
}

static bool options_read(int argc, char **argv, uint8_t hmac[32], struct gen_options *options, uint64_t *ret_count)
{
    static const struct option longs[] = {
        { "seed", required_argument, NULL, 's' },
        { "authors", required_argument, NULL, 'a' },
        { "step", required_argument, NULL, 't' },
        { "hmac", required_argument, NULL, 'h' },
        { "quirks", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, '?' },
        { NULL, 0, NULL, 0 },
    };
    uint64_t authors = 1000, step = 350;
    bool right = true;
    for (int c; right && (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 's': right = number_read(optarg, UINT64_MAX, &options->seed); break;
        case 'a': right = number_read(optarg, GEN_AUTHORS_MAX, &authors) && authors > 0; break;
        case 't': right = number_read(optarg, UINT32_MAX, &step) && step > 0; break;
        case 'h': right = hmac_read(optarg, hmac, &options->hmac_key); break;
        case 'q': options->quirks = true; break;
        default: right = false; break;
        }
    }
    options->authors = (uint32_t)authors;
    options->step = (uint32_t)step;
    return right && optind == argc - 1 && number_read(argv[optind], UINT64_MAX, ret_count);
}

static int print_records(struct gen *gen, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct slice record;
        int err = gen_next(gen, &record);
        if (err != OK) return err;
        if (fwrite(record.data, 1, record.len, stdout) != record.len || putchar('\n') == EOF)
            return err_errno("stdout", "write");
    }
    return fflush(stdout) == 0 ? OK : err_errno("stdout", "write");
}

int main(int argc, char **argv)
{
    struct gen_options options = { .seed = 42 };
    uint8_t hmac[32];
    uint64_t count;
    if (!options_read(argc, argv, hmac, &options, &count)) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    struct gen *gen = NULL;
    int err = gen_open(&options, &gen);
    if (err == OK) err = print_records(gen, count);
    gen_close(gen);
    if (err == OK) return 0;
    fprintf(stderr, "gen: %s\n", err_detail(err));
    return EX_SOFTWARE;
}
