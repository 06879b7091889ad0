plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.legodnn.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "org.legodnn.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = libs.versions.appVersionCode.get().toInt()
        versionName = libs.versions.appVersionName.get()
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    sourceSets["main"].assets.srcDir(rootProject.file("build/assets"))
    testOptions {
        unitTests.isIncludeAndroidResources = true
        unitTests.all { it.systemProperty("legodnn.screenshots", rootProject.file("build/screenshots").path) }
    }
}

dependencies {
    implementation(project(":lego-runtime"))
    implementation(libs.litert)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}

// The stores are no sources: they are packed from a demo folder.
val packed = rootProject.file("build/assets/stores")
val packAssets by tasks.registering(Exec::class) {
    workingDir = rootDir.parentFile
    commandLine("android_demo/build.sh", "--assets-only")
    onlyIf { !packed.exists() }
}
tasks.named("preBuild") { dependsOn(packAssets) }
