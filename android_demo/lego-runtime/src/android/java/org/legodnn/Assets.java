package org.legodnn;

import android.content.res.AssetManager;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** Stores that are packed into an app. */
public final class Assets {
    private Assets() {}

    /**
     * Copy a folder of the app's assets to storage, so that {@link Store#open} can read it. What was unpacked before is
     * taken as it is: opening verifies it. The folder appears whole or not at all.
     *
     * @param assets the app's
     * @param assetFolder such as "stores/vgg16"
     * @param to the folder to make, such as {@code new File(context.getNoBackupFilesDir(), "vgg16")}
     * @return {@code to}
     * @throws StoreException the assets cannot be read, or the folder cannot be written
     */
    public static File unpack(AssetManager assets, String assetFolder, File to) {
        if (to.isDirectory()) {
            return to;
        }
        File temporary = new File(to.getPath() + "." + System.nanoTime() + ".tmp");
        try {
            if (!copy(assets, assetFolder, temporary)) {
                throw new IOException("there is no such folder");
            }
            if (!temporary.renameTo(to) && !to.isDirectory()) {
                throw new IOException("cannot rename " + temporary);
            }
        } catch (IOException e) {
            throw new StoreException("cannot unpack the assets' " + assetFolder + " to " + to + ": " + e.getMessage()
                    + "; is the storage full?", e);
        } finally {
            remove(temporary); // where it was renamed there is nothing left
        }
        return to;
    }

    /** Whether there was anything to copy: assets know no empty folders, and list nothing for files. */
    private static boolean copy(AssetManager assets, String from, File to) throws IOException {
        String[] names = assets.list(from);
        if (names == null || names.length == 0) {
            return false;
        }
        if (!to.mkdirs() && !to.isDirectory()) {
            throw new IOException("cannot make the folder " + to);
        }
        for (String name : names) {
            String path = from + "/" + name;
            File target = new File(to, name);
            if (!copy(assets, path, target)) {
                copyFile(assets, path, target);
            }
        }
        return true;
    }

    private static void copyFile(AssetManager assets, String from, File to) throws IOException {
        byte[] chunk = new byte[1 << 16];
        try (InputStream in = assets.open(from); FileOutputStream out = new FileOutputStream(to)) {
            for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                ((OutputStream) out).write(chunk, 0, n);
            }
            out.getFD().sync();
        }
    }

    private static void remove(File file) {
        File[] inside = file.listFiles();
        if (inside != null) {
            for (File one : inside) {
                remove(one);
            }
        }
        file.delete();
    }
}
