/* SPDX-License-Identifier: Apache-2.0 */
/* The D-VM's domain XML as written, and domain XML as libvirt gives it, read. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "domain_xml.h"
#include "test.h"

static const struct dvm_spec spec = {
	.session = "s-1",
	.image = "0123",
	.owner = "h-1",
	.memory_mib = 256,
	.vcpus = 2,
	.kernel = "/img/a&b/kernel",
	.firmware = "/img/firmware",
	.initrd = "/img/initrd",
	.cmdline = "console=ttyS0 x='<y>'",
	.layers = { { "root", "/img/root" }, { "stack-disk", "/img/disk" } },
	.n_layers = 2,
	.log_path = "/log",
	.uid = 63352,
	.gid = 63352,
};

static void dvm_is_read_back(void **state)
{
	bool connected;
	_cleanup_free_ char *xml = NULL, *path = NULL;
	struct domain_info info;
	struct console_place place;
	char dev[16];

	assert_int_equal(domain_xml_dvm(&spec, false, &xml), 0);
	assert_int_equal(domain_xml_read(xml, &info, &place), 0);
	assert_string_equal(info.name, "dvm-s-1");
	assert_int_equal(info.vcpus, 2);
	assert_int_equal(info.n_disks, 2);
	assert_string_equal(info.disks[0].serial, "root");
	assert_string_equal(info.disks[1].serial, "stack-disk");
	assert_string_equal(info.disks[1].source, "/img/disk");
	assert_true(info.disks[0].readonly);
	assert_int_equal(place.backend, CONSOLE_BACKEND_FILE);
	assert_string_equal(place.path, "/log");
	assert_int_equal(domain_free_dev(&info, dev), 0);
	assert_string_equal(dev, "vdc");
	/* the path is libvirt's to choose */
	assert_int_equal(domain_xml_read_tunnel(xml, &path, &connected), -ENOENT);
	assert_non_null(strstr(xml, "<kernel>/img/a&amp;b/kernel</kernel>"));
	assert_non_null(strstr(xml, "&lt;y&gt;"));
	assert_non_null(
		strstr(xml, "<loader readonly=\"yes\" type=\"rom\">/img/firmware</loader>"));
	assert_non_null(strstr(xml, "<domain type=\"qemu\""));
	assert_null(strstr(xml, "<interface"));
	assert_null(strstr(xml, "<graphics"));
	domain_info_fini(&info);
	console_place_fini(&place);
}

static void hostile_names_stay_text(void **state)
{
	_cleanup_free_ char *xml = NULL;
	struct domain_info info;
	struct dvm_disk disk = {
		.session = "s-1",
		.serial = "t0-vda",
		.source = "/x'/><evil a=\"&amp;",
		.format = "qcow2",
		.backend = DISK_BACKEND_FILE,
		.readonly = true,
	};
	char *domain;

	assert_int_equal(domain_xml_disk(&disk, "vdb", &xml), 0);
	assert_true(asprintf(&domain, "<domain><name>x</name><devices>%s</devices></domain>", xml) >
		    0);
	assert_int_equal(domain_xml_read(domain, &info, NULL), 0);
	assert_int_equal(info.run, 0);
	assert_int_equal(info.n_disks, 1);
	assert_string_equal(info.disks[0].source, disk.source);
	assert_string_equal(info.disks[0].serial, "t0-vda");
	assert_string_equal(info.disks[0].format, "qcow2");
	assert_true(info.disks[0].readonly);
	free(domain);
	domain_info_fini(&info);
}

static void console_read_as(const char *devices, enum console_backend backend, const char *path)
{
	struct domain_info info;
	struct console_place place;
	char *xml;

	assert_true(asprintf(&xml, "<domain id='7'><name>x</name><devices>%s</devices></domain>",
			     devices) > 0);
	assert_int_equal(domain_xml_read(xml, &info, &place), 0);
	assert_int_equal(info.run, 7);
	assert_int_equal(place.backend, backend);
	if (path) {
		assert_string_equal(place.path, path);
	}
	free(xml);
	domain_info_fini(&info);
	console_place_fini(&place);
}

static void consoles(void **state)
{
	console_read_as("", CONSOLE_BACKEND_NONE, NULL);
	console_read_as(
		"<serial type='pty'><source path='/dev/pts/3'/></serial>"
		"<console type='pty'><source path='/dev/pts/3'/><target type='serial'/></console>",
		CONSOLE_BACKEND_PTY, "/dev/pts/3");
	console_read_as(
		"<console type='pty'><source path='/dev/pts/4'/><target type='virtio'/></console>",
		CONSOLE_BACKEND_PTY, "/dev/pts/4");
	console_read_as("<serial type='unix'><source mode='bind' path='/s'/></serial>",
			CONSOLE_BACKEND_UNIX, "/s");
	console_read_as("<serial type='unix'><source mode='connect' path='/s'/></serial>",
			CONSOLE_BACKEND_OTHER, NULL);
	console_read_as("<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4'/>"
			"<protocol type='raw'/></serial>",
			CONSOLE_BACKEND_TCP, NULL);
	console_read_as("<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4'/>"
			"<protocol type='telnet'/></serial>",
			CONSOLE_BACKEND_OTHER, NULL);
	console_read_as("<serial type='null'/>", CONSOLE_BACKEND_OTHER, NULL);
}

static void disk_element_and_metadata(void **state)
{
	static const char xml[] =
		"<domain><name>x</name><devices><disk type='file'><target dev='vda'/></disk>"
		"<disk type='block'><source dev='/dev/x'/><target "
		"dev='vdb'/><serial>t0-vdb</serial>"
		"</disk><channel><source path='/t'/><target name='org.dvm.tunnel.0'/></channel>"
		"</devices></domain>";
	static const char waiting[] =
		"<domain><devices><channel><source path='/u'/>"
		"<target name='org.dvm.tunnel.0' state='connected'/></channel></devices></domain>";
	_cleanup_free_ char *disk = NULL, *path = NULL, *other_path = NULL;
	char session[DVM_SESSION_MAX + 1], owner[DVM_OWNER_MAX + 1];
	bool connected;

	assert_int_equal(domain_xml_read_disk(xml, "t0-vdb", &disk), 0);
	assert_non_null(strstr(disk, "/dev/x"));
	assert_int_equal(domain_xml_read_disk(xml, "t0-vdc", &disk), -ENOENT);
	assert_int_equal(domain_xml_read_tunnel(xml, &path, &connected), 0);
	assert_string_equal(path, "/t");
	assert_false(connected);
	assert_int_equal(domain_xml_read_tunnel(waiting, &other_path, &connected), 0);
	assert_true(connected);
	assert_int_equal(domain_xml_read_metadata("<dvm:session xmlns:dvm='urn:dvm:domain:1' "
						  "id='s-1' owner='ab'/>",
						  session, owner),
			 0);
	assert_string_equal(session, "s-1");
	assert_string_equal(owner, "ab");
	assert_int_equal(domain_xml_read_metadata("<x/>", session, owner), -EBADMSG);
	assert_int_equal(domain_xml_read_tunnel("<domain", &path, &connected), -EBADMSG);
}

static void port_read_as(const char *xml, enum vm_port port, enum console_backend backend,
			 const char *path)
{
	struct console_place place;

	assert_int_equal(domain_xml_read_port(xml, port, &place), 0);
	assert_int_equal(place.backend, backend);
	if (path) {
		assert_string_equal(place.path, path);
	}
	console_place_fini(&place);
}

static void ports_of_a_target(void **state)
{
	static const char xml[] =
		"<domain id='7'><devices><parallel type='pty'><source "
		"path='/dev/pts/9'/></parallel>"
		"<serial type='pty'><source path='/dev/pts/3'/></serial>"
		"<serial type='unix'><source mode='bind' path='/s'/></serial>"
		"<console type='pty'><source path='/dev/pts/3'/></console><serial "
		"type='null'/></devices></domain>";
	struct console_place place;

	port_read_as(xml, VM_PORT_SERIAL0, CONSOLE_BACKEND_PTY, "/dev/pts/3");
	port_read_as(xml, VM_PORT_SERIAL1, CONSOLE_BACKEND_UNIX, "/s");
	port_read_as(xml, VM_PORT_SERIAL2, CONSOLE_BACKEND_OTHER, NULL);
	port_read_as(xml, VM_PORT_SERIAL3, CONSOLE_BACKEND_NONE, NULL);
	port_read_as(xml, VM_PORT_PARALLEL0, CONSOLE_BACKEND_PTY, "/dev/pts/9");
	port_read_as("<domain/>", VM_PORT_SERIAL0, CONSOLE_BACKEND_NONE, NULL);
	assert_int_equal(domain_xml_read_port("<domain", VM_PORT_SERIAL0, &place), -EBADMSG);
}

/* What is plugged into a D-VM is found again, by its socket, with the place the hypervisor gave it.
 */
static void ports_in_a_dvm(void **state)
{
	static const char path[] = "/c'/><evil a=\"&amp;/t0-serial1";
	const struct dvm_port serial = { .session = "s-1", .name = "t0-serial1" };
	const struct dvm_port parallel = { .session = "s-1",
					   .name = "t1-parallel0",
					   .parallel = true };
	_cleanup_free_ char *tty = NULL, *channel = NULL, *domain = NULL, *found = NULL;
	_cleanup_free_ char *again = NULL;
	char place[DVM_PORT_PLACE_MAX + 1], *end;

	assert_int_equal(domain_xml_dvm_port(&serial, path, &tty), 0);
	assert_non_null(strstr(tty, "pci-serial"));
	assert_int_equal(domain_xml_dvm_port(&parallel, "/c/t1-parallel0", &channel), 0);
	end = strstr(tty, "</serial>");
	assert_non_null(end);
	assert_true(asprintf(&domain,
			     "<domain><devices><serial type='file'><source path='/log'/></serial>"
			     "%.*s<address type='pci' domain='0x0000' bus='0x00' slot='0x0b' "
			     "function='0x1'/></serial>%s</devices></domain>",
			     (int)(end - tty), tty, channel) > 0);
	assert_int_equal(domain_xml_read_dvm_port(domain, path, &found, place), 0);
	assert_string_equal(place, "pci 0000:00:0b.1");
	assert_non_null(strstr(found, "pci-serial"));
	assert_int_equal(domain_xml_read_dvm_port(domain, "/c/t1-parallel0", &again, place), 0);
	assert_string_equal(place, "virtio org.dvm.port.t1-parallel0");
	assert_int_equal(domain_xml_read_dvm_port(domain, "/other", &again, place), -ENOENT);
}

static void watchdogs(void **state)
{
	static const struct {
		const char *xml, *action;
	} good[] = {
		{ "<watchdog model='i6300esb' action='reset'/>", "reset" },
		{ "<watchdog model='i6300esb' action='dump'/>", "pause" },
		{ "<watchdog model='ib700' action='inject-nmi'/>", "inject-nmi" },
		{ "<watchdog model='ib700'/>", "reset" },
		{ "<watchdog model='ib700' action='\"}, quit'/>", "reset" },
	};
	char action[WATCHDOG_ACTION_MAX + 1], xml[256];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(xml, sizeof(xml), "<domain><devices>%s</devices></domain>", good[i].xml);
		assert_int_equal(domain_xml_read_watchdog(xml, action), 0);
		assert_string_equal(action, good[i].action);
	}
	assert_int_equal(domain_xml_read_watchdog("<domain><devices/></domain>", action), -ENOENT);
	assert_int_equal(domain_xml_read_watchdog("<domain/>", action), -ENOENT);
	assert_int_equal(domain_xml_read_watchdog("<network/>", action), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dvm_is_read_back),  cmocka_unit_test(hostile_names_stay_text),
		cmocka_unit_test(consoles),	     cmocka_unit_test(disk_element_and_metadata),
		cmocka_unit_test(ports_of_a_target), cmocka_unit_test(ports_in_a_dvm),
		cmocka_unit_test(watchdogs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
