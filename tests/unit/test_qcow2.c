/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2 headers: which file an image stands on. */
#include "qcow2.h"

#include <errno.h>
#include <string.h>

#include "test.h"

/* Version 3, a format extension, the name behind it. */
static size_t image(uint8_t *p, const char *name, const char *format)
{
	size_t at = 104;

	memset(p, 0, 4096);
	memcpy(p, "QFI\xfb\0\0\0\3", 8);
	p[103] = 104;
	if (format) {
		memcpy(p + at, "\xe2\x79\x2a\xca\0\0\0", 7);
		p[at + 7] = (uint8_t)strlen(format);
		memcpy(p + at + 8, format, strlen(format));
		at += 8 + (strlen(format) + 7) / 8 * 8;
	}
	at += 8;
	if (name) {
		p[14] = (uint8_t)(at >> 8);
		p[15] = (uint8_t)at;
		p[19] = (uint8_t)strlen(name);
		memcpy(p + at, name, strlen(name));
	}
	return 4096;
}

static void reads_backing(void **state)
{
	uint8_t head[4096];
	struct qcow2_backing backing;

	assert_int_equal(qcow2_backing_read(head, image(head, NULL, NULL), &backing), 0);
	assert_string_equal(backing.file, "");
	assert_int_equal(qcow2_backing_read(head, image(head, "base.img", "raw"), &backing), 0);
	assert_string_equal(backing.file, "base.img");
	assert_false(backing.is_qcow2);
	assert_int_equal(qcow2_backing_read(head, image(head, "/x/b", "qcow2"), &backing), 0);
	assert_true(backing.is_qcow2);
}

static void refuses_nonsense(void **state)
{
	uint8_t head[4096];
	struct qcow2_backing backing;

	image(head, "base", "qcow2");
	for (size_t len = 0; len < 120; len++) {
		assert_int_equal(qcow2_backing_read(head, len, &backing), -EBADMSG);
	}
	head[8] = 0xff; /* a name far away */
	assert_int_equal(qcow2_backing_read(head, sizeof(head), &backing), -EBADMSG);
	image(head, "base", "qcow2");
	head[16] = 0xff; /* a name too long */
	assert_int_equal(qcow2_backing_read(head, sizeof(head), &backing), -EBADMSG);
	image(head, "base", "qcow2");
	head[108] = 0xff; /* an extension too long */
	assert_int_equal(qcow2_backing_read(head, sizeof(head), &backing), -EBADMSG);
	image(head, "base", "qcow2");
	head[0] = 0;
	assert_int_equal(qcow2_backing_read(head, sizeof(head), &backing), -EBADMSG);
	memset(head, 0xff, sizeof(head));
	memcpy(head, "QFI\xfb\0\0\0\3", 8);
	assert_int_equal(qcow2_backing_read(head, sizeof(head), &backing), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_backing),
		cmocka_unit_test(refuses_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
