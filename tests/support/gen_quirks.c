#include "tests/support/gen_parts.h"

#include <stdio.h>
#include <string.h>

/* Messages that are valid and that no client writes: what a view must survive and count right. Each shape is one line of
 * JSON in which letters behind a % stand for something drawn when it is written:
 *   %m message  %f feed  %s oneself  %b blob  %r root of a thread  %n name  %c channel  %i a small whole number */

static const char *const contents[] = {
    /* references in odd places */
    "{\"type\":\"post\",\"text\":\"nested\",\"deep\":{\"er\":[[{\"x\":[\"%m\",{\"y\":\"%f\"}]}],{\"z\":{\"link\":\"%"
    "b\"}}]}}",
    "{\"type\":\"post\",\"text\":\"bare\",\"mentions\":[\"%f\",\"%m\",\"%b\",\"%f\"],\"root\":[\"%r\"],\"branch\":[\"%"
    "m\",\"%m\"]}",
    "{\"type\":\"post\",\"text\":\"%m\",\"root\":\"%r\",\"branch\":\"%r\",\"refs\":[\"%m\",[\"%f\",[\"%b\"]]]}",
    "{\"type\":\"post\",\"text\":\"twice\",\"a\":\"%s\",\"b\":\"%s\",\"c\":[\"%s\",\"%s\"]}",
    "{\"type\":\"%m\",\"text\":\"a type that is an id\"}",
    "{\"root\":\"%r\",\"text\":\"type comes last\",\"type\":\"post\"}",
    "{\"type\":\"post\",\"text\":\"keys are ids\",\"%m\":1,\"%f\":{\"%b\":\"%m\"}}",
    "{\"type\":\"post\",\"text\":\"like an array\",\"mentions\":{\"0\":{\"link\":\"%f\"},\"1\":\"%m\"}}",
    "{\"type\":\"post\",\"text\":\"link "
    "twice\",\"mentions\":[{\"link\":{\"link\":\"%m\"}},{\"link\":[\"%f\"]},{\"link\":null}]}",
    "{\"type\":\"post\",\"text\":\"no root\",\"root\":null,\"branch\":\"%f\"}",
    "{\"type\":\"post\",\"text\":\"root is a link\",\"root\":{\"link\":\"%r\"},\"branch\":[]}",
    "{\"type\":\"post\",\"text\":\"nests\",\"n\":[[[[[[[[[[[[[[[[[[[[\"%m\"]]]]]]]]]]]]]]]]]]]]}",
    /* nearly references */
    "{\"type\":\"post\",\"text\":\"near\",\"near\":[\"%m \",\" "
    "%m\",\"%mx\",\"%b?unbox=abc\",\"#%m\",\"%f\\n\",\"%\",\"@\",\"&\",\"\"]}",
    "{\"type\":\"post\",\"text\":\"near\",\"near\":[\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=.sha256\","
    "\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.cloaked\",\"@AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=."
    "sha256\","
    "\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519\",\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    "Xsha256\"]}",
    "{\"type\":\"post\",\"text\":\"uris\",\"uris\":[\"ssb:message/sha256/AAAA\",\"ssb:feed/classic/%f\",\"https://"
    "example.org/%m\"]}",
    /* strings and keys */
    "{\"type\":\"post\",\"text\":\"\\\"quoted\\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u0000\\u001f\\u007f\\u0080 \\u2028\\u2029 "
    "\\ud83d\\ude00\"}",
    "{\"type\":\"post\",\"text\":\"alone \\ud800 and \\udfff\",\"\\ud800\":\"%m\"}",
    "{\"type\":\"post\",\"text\":\"ключи\",\"ключ\":\"%m\",\"日本\":{\"link\":\"%f\"},\"😀\":[\"%b\"],\"é\\\"\\\\\\n\":"
    "\"%f\"}",
    "{\"type\":\"post\",\"text\":\"paths\",\"a/b\":\"%m\",\"c~d\":{\"~1/\":\"%f\"},\"\":\"%b\",\" \":{\"\":\"%m\"}}",
    "{\"type\":\"post\",\"text\":\"indexes\",\"10\":\"%m\",\"2\":\"%f\",\"01\":\"%b\",\"4294967294\":\"%m\","
    "\"4294967295\":\"%f\",\"-1\":1}",
    "{\"7\":\"%m\",\"text\":\"index before type\",\"type\":\"post\",\"0\":{\"1\":\"%f\",\"0\":\"%b\"}}",
    "{\"type\":\"post\",\"text\":\"own\",\"__proto__\":\"%m\",\"constructor\":{\"link\":\"%f\"},\"toString\":1,"
    "\"hasOwnProperty\":\"%b\"}",
    "{\"type\":\"post\",\"text\":\"numbers\",\"n\":[0,-0,1e21,1e-7,0.1,-1.5e300,5e-324,9007199254740993,1e400,"
    "123456789012345680000]}",
    "{\"type\":\"post\",\"text\":\"looks like a "
    "record\",\"key\":\"%m\",\"value\":{\"author\":\"%f\",\"content\":{\"type\":\"about\"}},\"timestamp\":1}",
    "{\"type\":\"post\",\"text\":\"empty\",\"a\":{},\"b\":[],\"c\":[{}],\"d\":[[]],\"e\":\"\",\"f\":null,\"g\":false}",
    /* types */
    "{\"type\":\"тип\",\"root\":\"%r\"}",
    "{\"type\":\"a \\\"b\\\"\",\"link\":\"%m\"}",
    "{\"type\":\"😀x\",\"x\":1}",
    "{\"type\":\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\",\"link\":\"%f\"}",
    "{\"type\":\"post/../x\",\"text\":\"%c\"}",
    /* votes and contacts */
    "{\"type\":\"vote\",\"vote\":{\"link\":\"%m\",\"value\":\"1\",\"expression\":\"\"}}",
    "{\"type\":\"vote\",\"vote\":{\"link\":\"%m\",\"value\":-1}}",
    "{\"type\":\"vote\",\"vote\":{\"link\":\"%f\",\"value\":1,\"reason\":\"of a feed\"}}",
    "{\"type\":\"vote\",\"vote\":null}",
    "{\"type\":\"vote\",\"vote\":\"%m\",\"value\":1}",
    "{\"type\":\"contact\",\"contact\":\"%f\",\"following\":true,\"blocking\":true}",
    "{\"type\":\"contact\",\"contact\":\"%f\",\"following\":\"yes\",\"flagged\":{\"reason\":\"spam\"}}",
    "{\"type\":\"contact\",\"contact\":\"%s\",\"following\":true}",
    "{\"type\":\"contact\",\"contact\":{\"link\":\"%f\"},\"following\":false}",
    "{\"type\":\"contact\",\"contact\":\"%n\",\"following\":true}",
    "{\"type\":\"contact\",\"following\":true}",
    /* channels */
    "{\"type\":\"channel\",\"channel\":\"#Foo Bar!(x)\",\"subscribed\":true}",
    "{\"type\":\"channel\",\"channel\":\"ÅÄÖ-é_😀\",\"subscribed\":1}",
    "{\"type\":\"channel\",\"channel\":\"\",\"subscribed\":false}",
    "{\"type\":\"channel\",\"channel\":%i}",
    "{\"type\":\"post\",\"text\":\"c\",\"channel\":\"%c, with a comma and more than thirty characters\"}",
    "{\"type\":\"post\",\"text\":\"c\",\"channel\":\"\\\"q\\\" \\u00e9\\t<%c>\"}",
    "{\"type\":\"post\",\"text\":\"c\",\"channel\":null}",
    "{\"type\":\"post\",\"text\":\"c\",\"channel\":[\"%c\",{\"x\":\"%c\"}]}",
    "{\"type\":\"post\",\"text\":\"c\",\"channel\":\"%m\"}",
    "{\"type\":\"post\",\"text\":\"tags\",\"mentions\":[{\"link\":\"#%c\"},{\"link\":\"##\"},{\"link\":\"#%c %c\"}]}",
};

static const char *const abouts[] = { "%s", "%s", "%f", "%f", "%f", "%m", "%r", "%b", "%n" };

/* Small pools, so that assigners agree often enough for a majority and a tie. */
static const char *const assigned[] = {
    "\"name\":\"%n\"",
    "\"name\":\"%n\"",
    "\"name\":\"one\"",
    "\"name\":\"two\"",
    "\"name\":\"\"",
    "\"name\":false",
    "\"name\":null",
    "\"name\":0",
    "\"name\":%i",
    "\"name\":true",
    "\"name\":[\"%n\"]",
    "\"name\":{\"remove\":\"%n\"}",
    "\"name\":{\"link\":\"one\"}",
    "\"name\":\"\\ud83d\\ude00 \\\"%n\\\"\"",
    "\"image\":\"%b\"",
    "\"image\":{\"link\":\"%b\",\"size\":%i}",
    "\"image\":{\"size\":%i,\"link\":\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"}",
    "\"image\":\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"",
    "\"image\":{\"link\":\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\",\"remove\":true}",
    "\"image\":{\"link\":false}",
    "\"image\":false",
    "\"image\":\"none\"",
    "\"description\":\"%n likes #%c\"",
    "\"description\":\"\"",
    "\"description\":{\"remove\":true}",
    "\"title\":\"%c\"",
    "\"title\":\"three\"",
    "\"title\":null",
    "\"publicWebHosting\":false",
    "\"publicWebHosting\":true",
    "\"startDateTime\":{\"epoch\":15000%i,\"tz\":\"Europe/Berlin\"}",
    "\"location\":\"the harbour\"",
    "\"attendee\":{\"link\":\"%s\"}",
    "\"attendee\":{\"link\":\"%s\",\"remove\":true}",
    "\"7\":\"an index\"",
    "\"имя\":\"%n\"",
    "\"__proto__\":\"%n\"",
    "\"channel\":\"%c\"",
    "\"root\":\"%r\"",
};

static void put_key(struct gen *gen, bool root)
{
    /* A reference to what no log holds, now and then. */
    if (gen->post_ring.count == 0 || gen_chance(&gen->random, 0.05)) {
        buf_putc(&gen->content, '%');
        gen_put_base64(gen, 32, &gen->content);
        buf_puts(&gen->content, ".sha256");
        return;
    }
    const struct gen_post *post = root ? &gen_thread_at(gen, gen_recent(gen, &gen->thread_ring))->root
                                       : gen_post_at(gen, gen_recent(gen, &gen->post_ring));
    buf_puts(&gen->content, post->key);
}

/* False if the letter stands for nothing: the % is then one of the text. */
static bool put_slot(struct gen *gen, uint32_t author, char letter)
{
    struct buf *out = &gen->content;
    switch (letter) {
    case 'm': put_key(gen, false); return true;
    case 'r': put_key(gen, true); return true;
    case 'f': buf_puts(out, gen->authors[gen_zipf(gen)].id); return true;
    case 's': buf_puts(out, gen->authors[author].id); return true;
    case 'b': gen_put_blob(gen, out); return true;
    case 'n': buf_puts(out, gen->authors[gen_zipf(gen)].name); return true;
    case 'c': buf_puts(out, gen_channel(&gen->random)); return true;
    case 'i': buf_put_int(out, gen_below(&gen->random, 100000)); return true;
    default: return false;
    }
}

static void put_pattern(struct gen *gen, uint32_t author, const char *pattern)
{
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '%' && put_slot(gen, author, at[1]))
            at++;
        else
            buf_putc(&gen->content, *at);
    }
}

static void quirk_about(struct gen *gen, uint32_t author)
{
    buf_puts(&gen->content, "{\"type\":\"about\"");
    if (!gen_chance(&gen->random, 0.03)) {
        buf_puts(&gen->content, ",\"about\":\"");
        put_pattern(gen, author, GEN_PICK(&gen->random, abouts));
        buf_putc(&gen->content, '"');
    }
    for (uint32_t n = 1 + gen_below(&gen->random, 3); n > 0; n--) {
        buf_putc(&gen->content, ',');
        put_pattern(gen, author, GEN_PICK(&gen->random, assigned));
    }
    buf_putc(&gen->content, '}');
}

void gen_content_quirk(struct gen *gen, uint32_t author)
{
    if (gen_chance(&gen->random, 0.45))
        quirk_about(gen, author);
    else
        put_pattern(gen, author, GEN_PICK(&gen->random, contents));
}
