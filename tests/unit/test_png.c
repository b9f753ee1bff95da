/* SPDX-License-Identifier: Apache-2.0 */
/* PNG, chunk by chunk. */
#include "png.h"

#include <errno.h>
#include <string.h>

#include "test.h"

#define SIGNATURE "\x89PNG\r\n\x1a\n"
#define IHDR "\0\0\0\x0dIHDR\0\0\2\x80\0\0\1\x90\x08\2\0\0\0CRC!"
#define TEXT                                                                                       \
	"\0\0\0\x04tEXt"                                                                           \
	"host"                                                                                     \
	"CRC!"
#define TIME                                                                                       \
	"\0\0\0\x07tIME"                                                                           \
	"1234567"                                                                                  \
	"CRC!"
#define GAMA                                                                                       \
	"\0\0\0\4gAMA\0\0\xb1\x8f"                                                                 \
	"CRC!"
#define IDAT                                                                                       \
	"\0\0\0\3IDAT"                                                                             \
	"abc"                                                                                      \
	"CRC!"
#define IEND                                                                                       \
	"\0\0\0\0IEND"                                                                             \
	"CRC!"

static int clean(const char *p, size_t len, struct buf *out, struct png_size *ret)
{
	return png_clean((const uint8_t *)p, len, out, ret);
}

static void leaves_texts_out(void **state)
{
	static const char png[] = SIGNATURE IHDR TEXT GAMA IDAT TIME IDAT TEXT IEND;
	static const char wanted[] = SIGNATURE IHDR GAMA IDAT IDAT IEND;
	struct png_size size;
	struct buf out;

	buf_init(&out, sizeof(png));
	assert_int_equal(clean(png, sizeof(png) - 1, &out, &size), 0);
	assert_int_equal(size.width, 640);
	assert_int_equal(size.height, 400);
	assert_int_equal(buf_len(&out), sizeof(wanted) - 1);
	assert_memory_equal(buf_data(&out), wanted, sizeof(wanted) - 1);
	buf_fini(&out);
}

static void refuses_what_is_cut_off(void **state)
{
	static const char png[] = SIGNATURE IHDR TEXT IDAT IEND;
	struct png_size size;
	struct buf out;

	for (size_t len = 0; len < sizeof(png) - 1; len++) {
		buf_init(&out, sizeof(png));
		assert_int_equal(clean(png, len, &out, &size), -EBADMSG);
		buf_fini(&out);
	}
}

static void refuses_others(void **state)
{
#define CASE(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
	static const struct {
		const char *bytes;
		size_t len;
	} refused[] = {
		CASE("P6 640 400 255\n"),
		CASE(SIGNATURE IDAT IEND),
		CASE(SIGNATURE TEXT IHDR IDAT IEND),
		CASE(SIGNATURE IHDR IEND), /* no picture */
		CASE(SIGNATURE IHDR IHDR IDAT IEND),
		CASE(SIGNATURE IHDR IDAT IEND "more"),
		CASE(SIGNATURE IHDR IDAT "\0\0\0\1IEND\0CRC!"),
		CASE(SIGNATURE IHDR "\0\0\0\0XXXXCRC!" IDAT IEND), /* needed, and not known */
		CASE(SIGNATURE IHDR "\xff\xff\xff\xff"
				    "tEXtCRC!" IDAT IEND),
		CASE(SIGNATURE "\0\0\0\x0dIHDR\0\0\0\0\0\0\1\x90\x08\2\0\0\0CRC!" IDAT IEND),
		CASE(SIGNATURE "\0\0\0\x0dIHDR\0\0\x40\1\0\0\1\x90\x08\2\0\0\0CRC!" IDAT IEND),
		CASE(SIGNATURE "\0\0\0\x0cIHDR\0\0\2\x80\0\0\1\x90\x08\2\0\0CRC!" IDAT IEND),
	};
	struct png_size size;
	struct buf out;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		buf_init(&out, 4096);
		assert_int_equal(clean(refused[i].bytes, refused[i].len, &out, &size), -EBADMSG);
		buf_fini(&out);
	}
}

static void is_bounded(void **state)
{
	static const char png[] = SIGNATURE IHDR IDAT IEND;
	struct png_size size;
	struct buf out;

	buf_init(&out, sizeof(png) - 2);
	assert_int_equal(clean(png, sizeof(png) - 1, &out, &size), -ENOBUFS);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_texts_out),
		cmocka_unit_test(refuses_what_is_cut_off),
		cmocka_unit_test(refuses_others),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
