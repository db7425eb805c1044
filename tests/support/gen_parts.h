/* What the files of the generator share. */
#ifndef TESTS_SUPPORT_GEN_PARTS_H
#define TESTS_SUPPORT_GEN_PARTS_H

#include "store/ref.h"
#include "tests/support/gen.h"

#define GEN_ID_MAX (REF_TEXT_MAX + 1)
#define GEN_KEPT 40000 /* newest posts and threads that may be referred to */
#define GEN_TIPS 4
#define GEN_TEXT_MAX ((size_t)1 << 20)

struct gen_random {
    uint64_t state;
};

uint64_t gen_bits(struct gen_random *random);
double gen_unit(struct gen_random *random); /* 0 <= x < 1 */
uint32_t gen_below(struct gen_random *random, uint32_t n);
bool gen_chance(struct gen_random *random, double probability);

#define GEN_PICK(random, list) ((list)[gen_below((random), (uint32_t)(sizeof(list) / sizeof *(list)))])

struct gen_author {
    char id[GEN_ID_MAX];
    char name[32];
    char previous[GEN_ID_MAX]; /* empty = no message yet */
    uint8_t secret_key[64];
    int64_t sequence;
    int64_t claimed; /* time of its newest message */
    bool sequence_first;
};

struct gen_post {
    char key[GEN_ID_MAX];
    uint32_t author;
};

struct gen_thread {
    struct gen_post root;
    char tips[GEN_TIPS][GEN_ID_MAX]; /* newest messages of the thread, oldest first */
    uint32_t tip_count;
};

/* The newest GEN_KEPT things; number n stands at n % GEN_KEPT. */
struct gen_ring {
    uint64_t count;
};

struct gen {
    struct gen_options options;
    struct gen_random random;
    struct gen_author *authors;
    double *weights; /* cumulated */
    uint64_t made;
    int64_t now;

    struct gen_post *posts;
    struct gen_thread *threads;
    struct gen_post *repos;
    struct gen_ring post_ring, thread_ring, repo_ring;

    /* what the message being made is, for the thread it belongs to */
    bool is_post, is_repo, in_thread;
    uint64_t thread;

    struct buf content, value, text, record, scratch;
};

uint32_t gen_zipf(struct gen *gen);

/* A number of a thing made lately, newer ones more often. The ring must not be empty. */
uint64_t gen_recent(struct gen *gen, const struct gen_ring *ring);
struct gen_post *gen_post_at(struct gen *gen, uint64_t n);
struct gen_thread *gen_thread_at(struct gen *gen, uint64_t n);

/* Each fills gen->content with JSON. */
void gen_content(struct gen *gen, uint32_t author);
void gen_content_name(struct gen *gen, uint32_t author); /* an about message that says one's own name */
void gen_content_quirk(struct gen *gen, uint32_t author);

/* Prose of about `length` bytes appended to `out`; not escaped. */
void gen_prose(struct gen_random *random, size_t length, struct buf *out);
size_t gen_prose_length(struct gen_random *random); /* from 50 to 2000, short ones more often */
const char *gen_noun(struct gen_random *random);
const char *gen_channel(struct gen_random *random);
void gen_name(uint32_t author, char *out, size_t size);

void gen_put_base64(struct gen *gen, size_t bytes, struct buf *out); /* of random bytes */
void gen_put_blob(struct gen *gen, struct buf *out);                 /* a blob id, without quotes */

#endif
