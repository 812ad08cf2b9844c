#!/bin/sh
# Makes what mmdebstrap has installed in $1 the system of the cloud image, and a file system of it; $2 has our files.
set -eu
root=$1 ours=$2
echo 'LABEL=root / ext4 defaults 0 1' >"$root/etc/fstab"
rm -f "$root/etc/hostname" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
: >"$root/etc/machine-id" # each VM makes its own
rm -f "$root"/etc/ssh/ssh_host_*
install -m 644 "$ours/image.cfg" "$root/etc/cloud/cloud.cfg.d/90_velocity.cfg"
chroot "$root" systemctl --quiet enable systemd-networkd.service systemd-resolved.service
while read -r unit; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done <"$ours/masked"
install -m 644 "$ours/not-loaded" "$root/etc/modprobe.d/velocity.conf"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root/var/log/apt"

cp "$root"/boot/vmlinuz-* "$root"/usr/lib/systemd/boot/efi/linuxx64.efi.stub "$root/bin/busybox" "$ours/boot/"
cp -r "$root/lib/modules" "$ours/boot/"
chmod -R a+rX "$ours/boot" # Ubuntu's kernel is its root's only

plain=$(mktemp -d) # without what mmdebstrap has mounted there
mount --bind "$root" "$plain"
mke2fs -q -F -t ext4 -L root -d "$plain" "$ours/root.img"
umount "$plain"
rmdir "$plain"
