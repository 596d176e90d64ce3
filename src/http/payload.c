#include "http/payload.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/utf8.h"
#include "http/bounds.h"

enum { WHOLE_GROUPS = HTTP_GET_PIECE / 3 * 3, CHARACTER_MAX = 4 };

void payload_begin(struct payload *p, struct slice body, bool base64)
{
    *p = (struct payload){.unchecked = body, .left = body, .base64 = base64};
}

/* Takes a portion off that cuts no character of what is text. */
static struct slice take_text(struct slice *left)
{
    size_t n = left->len < HTTP_GET_PIECE ? left->len : HTTP_GET_PIECE;
    for (int i = 1; n < left->len && i < CHARACTER_MAX && (left->data[n] & 0xc0) == 0x80; i++)
        n--;
    struct slice piece = slice_of(left->data, n);
    *left = slice_of(left->data + n, left->len - n);
    return piece;
}

static void put_base64(struct payload *p, struct buf *out)
{
    struct slice piece = p->left;
    if (piece.len > WHOLE_GROUPS)
        piece.len = WHOLE_GROUPS;
    p->left = slice_of(p->left.data + piece.len, p->left.len - piece.len);
    out->len += base64_encode(piece, (char *)buf_reserve(out, base64_encoded_size(piece.len) + 1));
}

bool payload_next(struct payload *p, struct buf *out)
{
    if (!p->base64 && p->unchecked.len) {
        p->base64 = !utf8_valid(take_text(&p->unchecked));
        if (!p->base64 && p->unchecked.len)
            return true;
    }
    if (!p->begun)
        buf_append_str(out, "\"payload\":\"");
    p->begun = true;
    if (p->base64)
        put_base64(p, out);
    else
        json_put_text(out, take_text(&p->left));
    if (p->left.len)
        return true;
    buf_append_str(out, p->base64 ? "\",\"payload_encoding\":\"base64\""
                                  : "\",\"payload_encoding\":\"string\"");
    return false;
}
