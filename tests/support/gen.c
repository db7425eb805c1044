#include "tests/support/gen_parts.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/canonical_node.h"
#include "store/err.h"

#define START 1420070400000 /* 2015-01-01, ms */
#define SIGNATURE_BASE64 (sodium_base64_ENCODED_LEN(crypto_sign_BYTES, sodium_base64_VARIANT_ORIGINAL))

uint64_t gen_bits(struct gen_random *random)
{
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = random->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

double gen_unit(struct gen_random *random)
{
    return (double)(gen_bits(random) >> 11) * 0x1p-53;
}

uint32_t gen_below(struct gen_random *random, uint32_t n)
{
    return (uint32_t)(((gen_bits(random) >> 32) * n) >> 32);
}

bool gen_chance(struct gen_random *random, double probability)
{
    return gen_unit(random) < probability;
}

/* 1 / rank^0.9 = tenth root of rank / rank; the root by Newton's method, to be the same with every C library. */
static double weight_of(uint32_t rank)
{
    double root = 1 + rank / 10.0;
    for (int i = 0; i < 120; i++) {
        double p3 = root * root * root, p9 = p3 * p3 * p3;
        root -= (p9 * root - rank) / (10 * p9);
    }
    return root / rank;
}

uint32_t gen_zipf(struct gen *gen)
{
    double at = gen_unit(&gen->random) * gen->weights[gen->options.authors - 1];
    uint32_t low = 0, high = gen->options.authors - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (gen->weights[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t gen_recent(struct gen *gen, const struct gen_ring *ring)
{
    double unit = gen_unit(&gen->random);
    double reach = ring->count < GEN_KEPT / 2 ? (double)ring->count : GEN_KEPT / 2;
    return ring->count - 1 - (uint64_t)(unit * unit * unit * reach);
}

struct gen_post *gen_post_at(struct gen *gen, uint64_t n)
{
    return &gen->posts[n % GEN_KEPT];
}

struct gen_thread *gen_thread_at(struct gen *gen, uint64_t n)
{
    return &gen->threads[n % GEN_KEPT];
}

static void author_make(struct gen *gen, uint32_t number)
{
    struct gen_author *author = &gen->authors[number];
    char text[96];
    uint8_t seed[32], public_key[32];
    int len = snprintf(text, sizeof text, "sluice generator %" PRIu64 " author %u", gen->options.seed, number);
    crypto_hash_sha256(seed, (const unsigned char *)text, (unsigned long long)len);
    crypto_sign_seed_keypair(public_key, author->secret_key, seed);
    struct ref id = { .kind = REF_FEED };
    memcpy(id.id, public_key, 32);
    author->id[ref_print(&id, author->id)] = '\0';
    author->sequence_first = gen->options.quirks && gen_chance(&gen->random, 0.7);
    gen_name(number, author->name, sizeof author->name);
}

static int authors_make(struct gen *gen)
{
    uint32_t count = gen->options.authors;
    gen->authors = calloc(count, sizeof *gen->authors);
    gen->weights = calloc(count, sizeof *gen->weights);
    if (gen->authors == NULL || gen->weights == NULL) return err_set(ERR_NOMEM, "no memory for %u authors", count);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        author_make(gen, i);
        gen->weights[i] = sum += weight_of(i + 1);
    }
    return OK;
}

int gen_open(const struct gen_options *options, struct gen **ret_gen)
{
    if (options->authors > GEN_AUTHORS_MAX) return err_set(ERR_LIMIT, "at most %d authors", GEN_AUTHORS_MAX);
    if (sodium_init() < 0) return err_set(ERR_IO, "libsodium could not be started");
    struct gen *gen = calloc(1, sizeof *gen);
    if (gen == NULL) return err_set(ERR_NOMEM, "no memory for a generator");
    gen->options = *options;
    if (gen->options.authors == 0) gen->options.authors = 1000;
    if (gen->options.step == 0) gen->options.step = 350;
    gen->random.state = options->seed;
    gen->now = START;
    struct buf *bufs[] = { &gen->content, &gen->value, &gen->text, &gen->record, &gen->scratch };
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_init(bufs[i], GEN_TEXT_MAX);
    gen->posts = calloc(GEN_KEPT, sizeof *gen->posts);
    gen->threads = calloc(GEN_KEPT, sizeof *gen->threads);
    gen->repos = calloc(GEN_KEPT, sizeof *gen->repos);
    int err = gen->posts == NULL || gen->threads == NULL || gen->repos == NULL
                  ? err_set(ERR_NOMEM, "no memory for a generator")
                  : authors_make(gen);
    if (err == OK)
        *ret_gen = gen;
    else
        gen_close(gen);
    return err;
}

void gen_close(struct gen *gen)
{
    if (gen == NULL) return;
    free(gen->authors);
    free(gen->weights);
    free(gen->posts);
    free(gen->threads);
    free(gen->repos);
    buf_free(&gen->content);
    buf_free(&gen->value);
    buf_free(&gen->text);
    buf_free(&gen->record);
    buf_free(&gen->scratch);
    free(gen);
}

/* Texts of both forms, signed and hashed here: one parse and two prints a message, so that the signature is what takes time. */
static int record_sign(struct gen *gen, const struct canonical *doc, const struct gen_author *author, char *ret_key)
{
    uint8_t signature[crypto_sign_BYTES], mac[crypto_auth_BYTES];
    char base64[SIGNATURE_BASE64];
    buf_reset(&gen->text);
    int err = canonical_print(doc, &gen->text);
    if (err != OK) return err;
    const unsigned char *bytes = (const unsigned char *)gen->text.data;
    if (gen->options.hmac_key == NULL) {
        crypto_sign_detached(signature, NULL, bytes, gen->text.len, author->secret_key);
    } else {
        crypto_auth(mac, bytes, gen->text.len, gen->options.hmac_key);
        crypto_sign_detached(signature, NULL, mac, sizeof mac, author->secret_key);
    }
    sodium_bin2base64(base64, sizeof base64, signature, sizeof signature, sodium_base64_VARIANT_ORIGINAL);
    gen->text.len -= 2;
    buf_printf(&gen->text, ",\n  \"signature\": \"%s.sig.ed25519\"\n}", base64);
    struct ref id = { .kind = REF_MESSAGE };
    canonical_hash(gen->text.data, gen->text.len, id.id);
    ret_key[ref_print(&id, ret_key)] = '\0';

    buf_reset(&gen->record);
    buf_printf(&gen->record, "{\"key\":\"%s\",\"value\":", ret_key);
    canonical_print_compact(doc, &gen->record);
    gen->record.len--;
    return buf_printf(&gen->record, ",\"signature\":\"%s.sig.ed25519\"},\"timestamp\":", base64);
}

static void value_write(struct gen *gen, const struct gen_author *author, const char *claimed)
{
    struct buf *value = &gen->value;
    buf_reset(value);
    if (author->previous[0] == '\0')
        buf_puts(value, "{\"previous\":null,");
    else
        buf_printf(value, "{\"previous\":\"%s\",", author->previous);
    if (author->sequence_first)
        buf_printf(value, "\"sequence\":%" PRId64 ",\"author\":\"%s\",", author->sequence + 1, author->id);
    else
        buf_printf(value, "\"author\":\"%s\",\"sequence\":%" PRId64 ",", author->id, author->sequence + 1);
    buf_printf(value, "\"timestamp\":%s,\"hash\":\"sha256\",\"content\":", claimed);
    buf_append(value, gen->content.data, gen->content.len);
    buf_putc(value, '}');
}

static int value_sign(struct gen *gen, const struct gen_author *author, char *ret_key)
{
    struct canonical *doc = NULL;
    int err = canonical_parse(gen->value.data, gen->value.len, &doc);
    if (err == OK) err = record_sign(gen, doc, author, ret_key);
    canonical_free(doc);
    return err;
}

static void post_keep(struct gen *gen, uint32_t author, const char *key)
{
    struct gen_post post = { .author = author };
    memcpy(post.key, key, sizeof post.key);
    if (gen->is_repo) gen->repos[gen->repo_ring.count++ % GEN_KEPT] = post;
    if (!gen->is_post) return;
    gen->posts[gen->post_ring.count++ % GEN_KEPT] = post;
    if (!gen->in_thread) {
        struct gen_thread *thread = gen_thread_at(gen, gen->thread_ring.count++);
        *thread = (struct gen_thread){ .root = post, .tip_count = 1 };
        memcpy(thread->tips[0], key, sizeof post.key);
        return;
    }
    struct gen_thread *thread = gen_thread_at(gen, gen->thread);
    if (thread->tip_count == GEN_TIPS)
        memmove(thread->tips[0], thread->tips[1], sizeof thread->tips[0] * --thread->tip_count);
    memcpy(thread->tips[thread->tip_count++], key, sizeof post.key);
}

/* Claimed times run behind the log's by up to a minute but forward in a feed; quirks break both. */
static void claim_time(struct gen *gen, struct gen_author *author, char *out, size_t size)
{
    static const char *const odd[] = { "0", "-1", "\"yesterday\"", "1.5", "null", "1e21", "8640000000000001" };
    int64_t claimed = gen->now - gen_below(&gen->random, 60000);
    if (claimed <= author->claimed) claimed = author->claimed + 1;
    author->claimed = claimed;
    if (gen->options.quirks && gen_chance(&gen->random, 0.05)) claimed -= gen_below(&gen->random, 100000000);
    snprintf(out, size, "%" PRId64, claimed);
    if (!gen->options.quirks || author->sequence == 0) return;
    if (gen_chance(&gen->random, 0.02))
        snprintf(out, size, "%" PRId64 ".%03u", claimed, gen_below(&gen->random, 999) + 1);
    if (gen_chance(&gen->random, 0.01)) snprintf(out, size, "%s", GEN_PICK(&gen->random, odd));
}

static void content_write(struct gen *gen, uint32_t author)
{
    gen->is_post = gen->is_repo = gen->in_thread = false;
    buf_reset(&gen->content);
    if (gen->authors[author].sequence == 0)
        gen_content_name(gen, author);
    else if (gen->options.quirks && gen_chance(&gen->random, 0.12))
        gen_content_quirk(gen, author);
    else
        gen_content(gen, author);
}

/* The time of the log: often the same twice with quirks, else always later. */
static void received_write(struct gen *gen)
{
    buf_put_int(&gen->record, gen->now);
    if (gen->options.quirks && gen_chance(&gen->random, 0.1))
        buf_printf(&gen->record, ".%03u", 1 + gen_below(&gen->random, 8));
    buf_putc(&gen->record, '}');
}

int gen_next(struct gen *gen, struct slice *ret_record)
{
    uint32_t number = gen->made < gen->options.authors ? (uint32_t)gen->made : gen_zipf(gen);
    struct gen_author *author = &gen->authors[number];
    if (!gen->options.quirks || !gen_chance(&gen->random, 0.2))
        gen->now += 1 + gen_below(&gen->random, gen->options.step);
    char claimed[48], key[GEN_ID_MAX];
    claim_time(gen, author, claimed, sizeof claimed);
    content_write(gen, number);
    value_write(gen, author, claimed);
    int err = value_sign(gen, author, key);
    if (err != OK) return err;
    received_write(gen);
    if (gen->record.err != OK) return gen->record.err;
    memcpy(author->previous, key, sizeof key);
    author->sequence++;
    gen->made++;
    post_keep(gen, number, key);
    *ret_record = (struct slice){ gen->record.data, gen->record.len };
    return OK;
}
