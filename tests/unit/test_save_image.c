/* SPDX-License-Identifier: Apache-2.0 */
/* A saved domain's other identity, in files made as libvirt makes them. */
#include "save_image.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"

#define ROOM 64
#define STATE "the emulator's state,.."

static char path[] = "/tmp/dvm-test-save-XXXXXX";

struct header {
	char magic[16];
	uint32_t numbers[5], unused[14];
};

static void saved_make(const char *magic, uint32_t version)
{
	struct {
		struct header header;
		char data[ROOM];
		char state[sizeof(STATE)];
	} file = { .header.numbers = { version, ROOM, 0, 3, 40 }, .state = STATE };

	static_assert(sizeof(struct header) == 92, "as libvirt has it");
	memcpy(file.header.magic, magic, 16);
	memset(file.data, 'x', ROOM);
	strcpy(file.data, "<domain/>");
	assert_int_equal(file_write_atomic(path, &file, sizeof(file), 0600), 0);
}

static void identity_is_another_one(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct header header;
	size_t len;

	saved_make("LibvirtQemudSave", 2);
	assert_int_equal(save_image_set_domain(path, "<domain><name>n</name></domain>"), 0);
	assert_int_equal(file_read(path, 4096, &text, &len), 0);
	assert_int_equal(len, sizeof(header) + ROOM + sizeof(STATE));
	memcpy(&header, text, sizeof(header));
	assert_memory_equal(header.magic, "LibvirtQemudSave", 16);
	/* version, data_len, was_running, compressed, cookie_offset */
	assert_memory_equal(header.numbers, ((uint32_t[]){ 2, ROOM, 1, 3, 0 }),
			    sizeof(header.numbers));
	assert_string_equal(text + sizeof(header), "<domain><name>n</name></domain>");
	assert_string_equal(text + sizeof(header) + ROOM, STATE);
}

static void others_are_refused(void **state)
{
	char xml[ROOM + 1];

	saved_make("LibvirtQemudSave", 2);
	memset(xml, 'y', ROOM);
	xml[ROOM] = 0;
	assert_int_equal(save_image_set_domain(path, xml), -EMSGSIZE);
	xml[ROOM - 1] = 0; /* fits with its end */
	assert_int_equal(save_image_set_domain(path, xml), 0);
	saved_make("LibvirtQemudSave", 3);
	assert_int_equal(save_image_set_domain(path, "<domain/>"), -EBADMSG);
	saved_make("LibvirtQemudPart", 2);
	assert_int_equal(save_image_set_domain(path, "<domain/>"), -EBADMSG);
	assert_int_equal(truncate(path, 91), 0);
	assert_int_equal(save_image_set_domain(path, "<domain/>"), -EBADMSG);
	unlink(path);
	assert_int_equal(save_image_set_domain(path, "<domain/>"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_is_another_one),
		cmocka_unit_test(others_are_refused),
	};

	close(mkstemp(path));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
