#include "server/reader_print.h"

#include <string.h>

#include "server/reader_text.h"

static struct slice uri_of(const struct ref *ref, char out[REF_URI_MAX])
{
    return (struct slice){ out, ref_print_uri(ref, out) };
}

static void put_element(struct buf *out, const char *open, struct slice text, const char *close)
{
    (void)buf_puts(out, open);
    reader_put_xml(out, text);
    (void)buf_puts(out, close);
}

/* ---- Atom ---- */

static void atom_begin(struct buf *out, const struct reader_about *about)
{
    char date[READER_DATE_MAX];
    (void)buf_puts(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n");
    put_element(out, "<id>", about->uri, "</id>\n");
    put_element(out, "<title>", about->title, "</title>\n");
    put_element(out, "<updated>", reader_date(about->updated, date), "</updated>\n");
    put_element(out, "<link rel=\"self\" type=\"application/atom+xml\" href=\"", about->self, "\"/>\n");
    (void)buf_puts(out, "<generator>Sluice</generator>\n");
}

static void atom_item(struct buf *out, const struct reader_item *item, bool first)
{
    char date[READER_DATE_MAX], uri[REF_URI_MAX];
    (void)first;
    (void)buf_puts(out, "<entry>\n");
    put_element(out, "<id>", uri_of(&item->id, uri), "</id>\n");
    put_element(out, "<link rel=\"alternate\" href=\"", uri_of(&item->id, uri), "\"/>\n");
    put_element(out, "<title>", item->title, "</title>\n");
    put_element(out, "<published>", reader_date(item->time, date), "</published>\n");
    put_element(out, "<updated>", reader_date(item->time, date), "</updated>\n");
    put_element(out, "<author><name>", item->author_name, "</name>");
    put_element(out, "<uri>", uri_of(&item->author, uri), "</uri></author>\n");
    if (item->channel.data != NULL) put_element(out, "<category term=\"", item->channel, "\"/>\n");
    (void)buf_puts(out, "<content type=\"html\">");
    reader_put_html(out, item->text);
    (void)buf_puts(out, "</content>\n</entry>\n");
}

static void atom_end(struct buf *out)
{
    (void)buf_puts(out, "</feed>\n");
}

/* ---- RSS ---- */

static void rss_begin(struct buf *out, const struct reader_about *about)
{
    char date[READER_DATE_MAX];
    (void)buf_puts(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<rss version=\"2.0\" "
                        "xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n<channel>\n");
    put_element(out, "<title>", about->title, "</title>\n");
    put_element(out, "<link>", about->uri, "</link>\n");
    put_element(out, "<description>", about->title, " on Secure Scuttlebutt</description>\n");
    put_element(out, "<lastBuildDate>", reader_mail_date(about->updated, date), "</lastBuildDate>\n");
    (void)buf_puts(out, "<generator>Sluice</generator>\n");
}

static void rss_item(struct buf *out, const struct reader_item *item, bool first)
{
    char date[READER_DATE_MAX], uri[REF_URI_MAX];
    (void)first;
    (void)buf_puts(out, "<item>\n");
    put_element(out, "<guid isPermaLink=\"false\">", uri_of(&item->id, uri), "</guid>\n");
    put_element(out, "<link>", uri_of(&item->id, uri), "</link>\n");
    put_element(out, "<title>", item->title, "</title>\n");
    put_element(out, "<pubDate>", reader_mail_date(item->time, date), "</pubDate>\n");
    put_element(out, "<dc:creator>", item->author_name, "</dc:creator>\n");
    if (item->channel.data != NULL) put_element(out, "<category>", item->channel, "</category>\n");
    (void)buf_puts(out, "<description>");
    reader_put_html(out, item->text);
    (void)buf_puts(out, "</description>\n</item>\n");
}

static void rss_end(struct buf *out)
{
    (void)buf_puts(out, "</channel>\n</rss>\n");
}

/* ---- JSON Feed ---- */

static void put_member(struct buf *out, const char *name, struct slice text)
{
    (void)buf_printf(out, "\"%s\":", name);
    (void)buf_put_json(out, text.data, text.len);
}

static void json_begin(struct buf *out, const struct reader_about *about)
{
    (void)buf_puts(out, "{\"version\":\"https://jsonfeed.org/version/1.1\",");
    put_member(out, "title", about->title);
    if (about->page) {
        (void)buf_putc(out, ',');
        put_member(out, "home_page_url", about->uri);
    }
    (void)buf_puts(out, ",\"items\":[");
}

static void json_item(struct buf *out, const struct reader_item *item, bool first)
{
    char date[READER_DATE_MAX], uri[REF_URI_MAX];
    (void)buf_puts(out, first ? "{" : ",{");
    put_member(out, "id", uri_of(&item->id, uri));
    (void)buf_putc(out, ',');
    put_member(out, "url", uri_of(&item->id, uri));
    (void)buf_putc(out, ',');
    put_member(out, "title", item->title);
    (void)buf_putc(out, ',');
    put_member(out, "content_text", item->text);
    (void)buf_putc(out, ',');
    put_member(out, "date_published", reader_date(item->time, date));
    (void)buf_puts(out, ",\"authors\":[{");
    put_member(out, "name", item->author_name);
    (void)buf_putc(out, ',');
    put_member(out, "url", uri_of(&item->author, uri));
    (void)buf_puts(out, "}]");
    if (item->channel.data != NULL) {
        (void)buf_puts(out, ",\"tags\":[");
        (void)buf_put_json(out, item->channel.data, item->channel.len);
        (void)buf_putc(out, ']');
    }
    (void)buf_putc(out, '}');
}

static void json_end(struct buf *out)
{
    (void)buf_puts(out, "]}\n");
}

const struct reader_ops *reader_ops_of(enum api_format format)
{
    static const struct reader_ops atom = { "application/atom+xml; charset=utf-8", atom_begin, atom_item, atom_end };
    static const struct reader_ops rss = { "application/rss+xml; charset=utf-8", rss_begin, rss_item, rss_end };
    static const struct reader_ops json = { "application/feed+json", json_begin, json_item, json_end };
    return format == API_ATOM ? &atom : format == API_RSS ? &rss : &json;
}
