package org.legodnn;

import android.content.res.AssetManager;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.util.List;

import org.legodnn.internal.json.JsonException;

/** Stores that are packed into an app. */
public final class Assets {
    private static final String MANIFEST = "manifest.json";

    private Assets() {}

    /**
     * Open a store of the app's assets, which is unpacked once. Its folder is named by the manifest's hash, so that an
     * update of the app with another store unpacks that one and removes the old one, and what an unpacking that was
     * killed left behind. Opening checks what was unpacked before: a damaged store is unpacked again.
     * For a worker thread.
     *
     * @param assets the app's
     * @param assetFolder the store's, such as "stores/faces"
     * @param versions where this store's folder is kept, such as
     *     {@code new File(context.getNoBackupFilesDir(), "stores/faces")}; whatever else is in it is removed
     * @throws StoreException the assets cannot be read, are no store, or the folder cannot be written
     */
    public static synchronized Store open(AssetManager assets, String assetFolder, File versions) {
        try {
            MessageDigest digest = Documents.sha256();
            try (InputStream in = assets.open(assetFolder + "/" + MANIFEST)) {
                byte[] chunk = new byte[1 << 16];
                for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                    digest.update(chunk, 0, n);
                }
            }
            File folder = new File(versions, Documents.hex(digest.digest()));
            File[] present = versions.listFiles();
            for (File other : present == null ? new File[0] : present) {
                if (!other.equals(folder)) {
                    remove(other);
                }
            }
            if (folder.isDirectory()) {
                try {
                    return Store.open(folder);
                } catch (StoreException damaged) {
                    remove(folder);
                }
            }
            unpack(assets, assetFolder, folder);
            return Store.open(folder);
        } catch (IOException e) {
            throw new StoreException("cannot unpack the assets' " + assetFolder + " to " + versions + ": "
                    + e.getMessage() + "; is the storage full?", e);
        }
    }

    /** Copy a store to a folder that appears whole or not at all. */
    private static void unpack(AssetManager assets, String from, File to) throws IOException {
        File temporary = new File(to.getPath() + ".tmp");
        try {
            copyStore(assets, from, temporary);
            if (!temporary.renameTo(to)) {
                throw new IOException("cannot rename " + temporary);
            }
        } finally {
            remove(temporary); // where it was renamed there is nothing left
        }
    }

    // The manifest names all files; to ask the assets for them would take as long as to copy them.
    private static void copyStore(AssetManager assets, String from, File to) throws IOException {
        File manifest = new File(to, MANIFEST);
        copyFile(assets, from + "/" + MANIFEST, manifest);
        List<Segment> segments;
        try {
            segments = StoreManifest.parse(Documents.utf8(Documents.read(manifest))).segments;
        } catch (JsonException e) {
            throw new IOException("its " + MANIFEST + " is damaged: " + e.getMessage(), e);
        }
        for (Segment segment : segments) {
            for (Option option : segment.options) {
                copyFile(assets, from + "/" + option.file, new File(to, option.file));
            }
        }
    }

    private static void copyFile(AssetManager assets, String from, File to) throws IOException {
        File folder = to.getParentFile();
        if (!folder.mkdirs() && !folder.isDirectory()) {
            throw new IOException("cannot make the folder " + folder);
        }
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
