package org.legodnn;

import android.content.res.AssetManager;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;

import org.legodnn.json.JsonException;

/** Stores that are packed into an app. */
public final class Assets {
    private static final String MANIFEST = "manifest.json";

    private Assets() {}

    /**
     * Copy a store from the app's assets to storage, so that {@link Store#open} can read it. What was unpacked before
     * is taken as it is: opening verifies it. The folder appears whole or not at all.
     *
     * @param assets the app's
     * @param assetFolder the store's, such as "stores/vgg16"
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
            copyStore(assets, assetFolder, temporary);
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

    // The manifest names all files; to ask the assets for them would take as long as to copy them.
    private static void copyStore(AssetManager assets, String from, File to) throws IOException {
        File manifest = new File(to, MANIFEST);
        copyFile(assets, from + "/" + MANIFEST, manifest);
        List<Segment> segments;
        try {
            segments = Manifest.parse(Documents.utf8(Documents.read(manifest))).segments;
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
