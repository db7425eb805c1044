#include "tests/support/gen_parts.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* The order in which a call's arguments are worked out is the compiler's: where two of them are drawn, that is done before
 * the call, or the same seed would give other bytes elsewhere. */

void gen_put_base64(struct gen *gen, size_t bytes, struct buf *out)
{
    uint8_t raw[30];
    char text[sizeof raw / 3 * 4 + 1];
    for (size_t n; bytes > 0; bytes -= n) {
        n = bytes < sizeof raw ? bytes : sizeof raw;
        for (size_t i = 0; i < n; i++)
            raw[i] = (uint8_t)gen_bits(&gen->random);
        buf_puts(out, sodium_bin2base64(text, sizeof text, raw, n, sodium_base64_VARIANT_ORIGINAL));
    }
}

void gen_put_blob(struct gen *gen, struct buf *out)
{
    buf_putc(out, '&');
    gen_put_base64(gen, 32, out);
    buf_puts(out, ".sha256");
}

static void put_sha1(struct gen *gen, struct buf *out)
{
    for (int i = 0; i < 5; i++)
        buf_printf(out, "%08x", (unsigned)(gen_bits(&gen->random) & 0xFFFFFFFF));
}

static void put_prose(struct gen *gen, size_t length)
{
    buf_reset(&gen->scratch);
    gen_prose(&gen->random, length, &gen->scratch);
    buf_put_json(&gen->content, gen->scratch.data, gen->scratch.len);
}

static void put_image(struct gen *gen, uint32_t number, const char *blob)
{
    buf_printf(&gen->content, "{\"link\":\"%s\",\"name\":\"img%u.jpg\",\"size\":%u,\"type\":\"image/jpeg\"}", blob,
               number, gen_below(&gen->random, 5000000));
}

static void blob_make(struct gen *gen, char ret_blob[GEN_ID_MAX])
{
    buf_reset(&gen->scratch);
    gen_put_blob(gen, &gen->scratch);
    snprintf(ret_blob, GEN_ID_MAX, "%.*s", (int)gen->scratch.len, gen->scratch.data);
}

static void content_encrypted(struct gen *gen)
{
    buf_putc(&gen->content, '"');
    gen_put_base64(gen, 300 + (size_t)(gen_unit(&gen->random) * gen_unit(&gen->random) * 2700), &gen->content);
    buf_puts(&gen->content, ".box\"");
}

static void content_vote(struct gen *gen)
{
    static const char *const expressions[] = {
        "Like", "Like", "Like", "Like", "Like", "Like", "Like", "Like", "❤", "👍"
    };
    const struct gen_post *post = gen_post_at(gen, gen_recent(gen, &gen->post_ring));
    int value = gen_chance(&gen->random, 0.97) ? 1 : 0;
    const char *expression = GEN_PICK(&gen->random, expressions);
    buf_printf(&gen->content, "{\"type\":\"vote\",\"vote\":{\"link\":\"%s\",\"value\":%d,\"expression\":\"%s\"}",
               post->key, value, expression);
    if (gen_chance(&gen->random, 0.1)) buf_printf(&gen->content, ",\"channel\":\"%s\"", gen_channel(&gen->random));
    buf_putc(&gen->content, '}');
}

static void put_branch(struct gen *gen, const struct gen_thread *thread)
{
    uint32_t last = thread->tip_count - 1;
    if (last > 0 && gen_chance(&gen->random, 0.3))
        buf_printf(&gen->content, ",\"branch\":[\"%s\",\"%s\"]", thread->tips[last - 1], thread->tips[last]);
    else
        buf_printf(&gen->content, ",\"branch\":\"%s\"", thread->tips[last]);
}

static void put_reply(struct gen *gen)
{
    gen->thread = gen_recent(gen, &gen->thread_ring);
    gen->in_thread = true;
    const struct gen_thread *thread = gen_thread_at(gen, gen->thread);
    buf_printf(&gen->content, ",\"root\":\"%s\"", thread->root.key);
    put_branch(gen, thread);
    if (gen_chance(&gen->random, 0.3))
        buf_printf(&gen->content, ",\"reply\":{\"%s\":\"%s\"}", thread->root.key, gen->authors[thread->root.author].id);
}

/* Text and the mentions it makes, side by side: the text goes to scratch, the mentions to the content. */
static void put_mentions(struct gen *gen, struct buf *text)
{
    struct buf *content = &gen->content;
    const char *comma = "";
    if (gen_chance(&gen->random, 0.35)) {
        for (uint32_t n = 1 + gen_below(&gen->random, 3); n > 0; n--, comma = ",") {
            const struct gen_author *who = &gen->authors[gen_zipf(gen)];
            buf_printf(content, "%s{\"link\":\"%s\",\"name\":\"%s\"}", comma, who->id, who->name);
            buf_printf(text, "[@%s](%s) ", who->name, who->id);
        }
    }
    gen_prose(&gen->random, gen_prose_length(&gen->random), text);
    if (gen_chance(&gen->random, 0.12)) {
        char blob[GEN_ID_MAX];
        uint32_t number = gen_below(&gen->random, 1000000);
        blob_make(gen, blob);
        buf_puts(content, comma);
        put_image(gen, number, blob);
        buf_printf(text, "\n\n![img%u.jpg](%s)", number, blob);
        comma = ",";
    }
    if (gen_chance(&gen->random, 0.05) && gen->post_ring.count > 0) {
        const struct gen_post *post = gen_post_at(gen, gen_recent(gen, &gen->post_ring));
        buf_printf(content, "%s{\"link\":\"%s\"}", comma, post->key);
        buf_printf(text, " %s", post->key);
    }
}

static void content_post(struct gen *gen)
{
    struct buf text;
    buf_init(&text, GEN_TEXT_MAX);
    gen->is_post = true;
    buf_puts(&gen->content, "{\"type\":\"post\"");
    if (gen->thread_ring.count > 0 && gen_chance(&gen->random, 0.68)) put_reply(gen);
    if (gen_chance(&gen->random, 0.2)) buf_printf(&gen->content, ",\"channel\":\"%s\"", gen_channel(&gen->random));
    buf_puts(&gen->content, ",\"mentions\":[");
    put_mentions(gen, &text);
    if (gen->content.data[gen->content.len - 1] == '[' && gen_chance(&gen->random, 0.5))
        gen->content.len -= sizeof ",\"mentions\":[" - 1;
    else
        buf_putc(&gen->content, ']');
    buf_puts(&gen->content, ",\"text\":");
    buf_put_json(&gen->content, text.data, text.len);
    buf_putc(&gen->content, '}');
    buf_free(&text);
}

static void content_contact(struct gen *gen)
{
    double dice = gen_unit(&gen->random);
    const char *what = dice < 0.85   ? "\"following\":true"
                       : dice < 0.93 ? "\"following\":false"
                                     : "\"blocking\":true,\"following\":false";
    const char *contact = gen->authors[gen_below(&gen->random, gen->options.authors)].id;
    const char *more = gen_chance(&gen->random, 0.1) ? ",\"autofollow\":true" : "";
    buf_printf(&gen->content, "{\"type\":\"contact\",\"contact\":\"%s\",%s%s}", contact, what, more);
}

void gen_content_name(struct gen *gen, uint32_t author)
{
    const struct gen_author *self = &gen->authors[author];
    buf_printf(&gen->content, "{\"type\":\"about\",\"about\":\"%s\",\"name\":\"%s\"}", self->id, self->name);
}

static void content_gathering(struct gen *gen, const char *about)
{
    if (gen->thread_ring.count > 0) about = gen_thread_at(gen, gen_recent(gen, &gen->thread_ring))->root.key;
    const char *what = gen_noun(&gen->random), *with = gen_noun(&gen->random);
    long long start = 1500000000000LL + (long long)gen_below(&gen->random, 1000000000) * 100;
    buf_printf(&gen->content, "{\"type\":\"about\",\"about\":\"%s\",\"title\":\"%s and %s\",", about, what, with);
    buf_printf(&gen->content, "\"startDateTime\":{\"epoch\":%lld,\"tz\":\"Europe/Berlin\"}}", start);
}

static void content_about(struct gen *gen, uint32_t author)
{
    bool self = gen_chance(&gen->random, 0.9);
    const struct gen_author *about = &gen->authors[self ? author : gen_below(&gen->random, gen->options.authors)];
    double dice = gen_unit(&gen->random);
    if (dice >= 0.95) {
        content_gathering(gen, about->id);
        return;
    }
    buf_printf(&gen->content, "{\"type\":\"about\",\"about\":\"%s\",", about->id);
    if (dice < 0.45) {
        buf_printf(&gen->content, "\"name\":\"%s%s\"", about->name,
                   gen_chance(&gen->random, 0.2) ? " of the hill" : "");
    } else if (dice < 0.7) {
        buf_puts(&gen->content, "\"description\":");
        put_prose(gen, gen_prose_length(&gen->random));
    } else {
        char blob[GEN_ID_MAX];
        blob_make(gen, blob);
        buf_puts(&gen->content, "\"image\":");
        put_image(gen, gen_below(&gen->random, 1000000), blob);
    }
    buf_putc(&gen->content, '}');
}

static void content_channel(struct gen *gen)
{
    const char *channel = gen_channel(&gen->random), *subscribed = gen_chance(&gen->random, 0.85) ? "true" : "false";
    buf_printf(&gen->content, "{\"type\":\"channel\",\"channel\":\"%s\",\"subscribed\":%s}", channel, subscribed);
}

static void content_pub(struct gen *gen)
{
    uint32_t host = gen_below(&gen->random, 300);
    const char *key = gen->authors[gen_below(&gen->random, gen->options.authors)].id;
    buf_printf(&gen->content,
               "{\"type\":\"pub\",\"address\":{\"host\":\"pub%u.example.org\",\"port\":8008,\"key\":\"%s\"}}", host,
               key);
}

static void put_pack(struct gen *gen, const char *suffix)
{
    struct buf *content = &gen->content;
    buf_puts(content, "[{\"link\":\"");
    gen_put_blob(gen, content);
    buf_puts(content, "\",\"name\":\"pack-");
    put_sha1(gen, content);
    buf_printf(content, ".%s\",\"size\":%u}]", suffix, gen_below(&gen->random, 1000000));
}

static void put_commits(struct gen *gen)
{
    struct buf *content = &gen->content;
    buf_puts(content, ",\"commits\":[");
    for (uint32_t n = 1 + gen_below(&gen->random, 4); n > 0; n--) {
        buf_puts(content, "{\"sha1\":\"");
        put_sha1(gen, content);
        buf_puts(content, "\",\"title\":");
        put_prose(gen, 20);
        buf_puts(content, n > 1 ? "}," : "}]");
    }
}

static void content_git_update(struct gen *gen)
{
    const char *repo = gen->repos[gen_recent(gen, &gen->repo_ring) % GEN_KEPT].key;
    struct buf *content = &gen->content;
    buf_printf(content, "{\"type\":\"git-update\",\"repo\":\"%s\",\"repoBranch\":[\"%s\"],\"refsBranch\":[\"%s\"]",
               repo, repo, repo);
    buf_puts(content, ",\"refs\":{\"refs/heads/master\":\"");
    put_sha1(gen, content);
    buf_puts(content, "\"},\"head\":\"refs/heads/master\"");
    put_commits(gen);
    buf_printf(content, ",\"commits_more\":0,\"num_objects\":%u,\"object_ids\":[\"", gen_below(&gen->random, 500));
    put_sha1(gen, content);
    buf_puts(content, "\",\"");
    put_sha1(gen, content);
    buf_puts(content, "\"],\"packs\":");
    put_pack(gen, "pack");
    buf_puts(content, ",\"indexes\":");
    put_pack(gen, "idx");
    buf_putc(content, '}');
}

static void content_git(struct gen *gen)
{
    if (gen->repo_ring.count > 0 && gen_chance(&gen->random, 0.9)) {
        content_git_update(gen);
        return;
    }
    gen->is_repo = true;
    buf_printf(&gen->content, "{\"type\":\"git-repo\",\"name\":\"repo-%u\"}", gen_below(&gen->random, 100000));
}

void gen_content(struct gen *gen, uint32_t author)
{
    double dice = 100 * gen_unit(&gen->random);
    if (dice < 7) {
        content_encrypted(gen);
    } else if (dice < 47 && gen->post_ring.count > 0) {
        content_vote(gen);
    } else if (dice < 77 || gen->post_ring.count == 0) {
        content_post(gen);
    } else if (dice < 89) {
        content_contact(gen);
    } else if (dice < 97) {
        content_about(gen, author);
    } else if (dice < 98.2) {
        content_channel(gen);
    } else if (dice < 98.9) {
        content_pub(gen);
    } else {
        content_git(gen);
    }
}
