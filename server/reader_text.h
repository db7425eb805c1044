/* Texts of messages as feed readers take them. People write anything: what comes out is well-formed UTF-8 without the characters that XML forbids. */
#ifndef SERVER_READER_TEXT_H
#define SERVER_READER_TEXT_H

#include "store/buf.h"

/* Appends the text; what is no UTF-8 (a lone surrogate among it) and what XML 1.0 has no place for becomes U+FFFD, and past `max` bytes it
 * ends with an ellipsis. */
void reader_put_clean(struct buf *out, struct slice text, size_t max);

/* Clean text for the inside of an XML element or attribute. */
void reader_put_xml(struct buf *out, struct slice text);

/* Clean text as HTML, itself escaped for XML: every character shows as it is, and lines stay lines. */
void reader_put_html(struct buf *out, struct slice text);

/* The first line of clean text that has a letter or so, without Markdown's signs in front, cut to a title's length. Empty if there is none. */
void reader_put_title(struct buf *out, struct slice text);

/* Milliseconds since 1970 as "2016-02-29T12:00:00.000Z", and as "Mon, 29 Feb 2016 12:00:00 GMT". What is not in the years 1970 to 9999 is 1970. */
#define READER_DATE_MAX 40
struct slice reader_date(double ms, char out[READER_DATE_MAX]);
struct slice reader_mail_date(double ms, char out[READER_DATE_MAX]);

#endif
