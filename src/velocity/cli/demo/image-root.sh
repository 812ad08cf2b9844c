# Makes what mmdebstrap has installed in $1 the system of the cloud image, and a file system of it. Our files are here, and
# are named without their place, which others could read on a command line.
set -eu
root=$1
echo 'LABEL=root / ext4 defaults 0 1' >"$root/etc/fstab"
rm -f "$root/etc/hostname" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
: >"$root/etc/machine-id" # each VM makes its own
rm -f "$root"/etc/ssh/ssh_host_*
install -m 644 image.cfg "$root/etc/cloud/cloud.cfg.d/90_velocity.cfg"
chroot "$root" systemctl --quiet enable systemd-networkd.service systemd-resolved.service
while read -r unit; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done <masked
install -m 644 not-loaded "$root/etc/modprobe.d/velocity.conf"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root/var/log/apt"

# Both files are there already, and are whose image it becomes.
(cd "$root" && tar -c boot/vmlinuz-* usr/lib/systemd/boot/efi/linuxx64.efi.stub bin/busybox lib/modules) >boot.tar
plain=$(mktemp -d) # without what mmdebstrap has mounted there
mount --bind "$root" "$plain"
mke2fs -q -F -t ext4 -L root -d "$plain" root.img
umount "$plain"
rmdir "$plain"
