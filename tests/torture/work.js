// Node at work on its thread pool, in workers and in child processes; prints digests, which must not depend on anything.
const { createHash, pbkdf2, scrypt } = require("node:crypto");
const { gzip, gunzip, brotliCompress } = require("node:zlib");
const { Worker, isMainThread, parentPort } = require("node:worker_threads");
const { execFileSync } = require("node:child_process");
const { promisify } = require("node:util");

const digest = (data) => createHash("sha256").update(data).digest("hex").slice(0, 16);

if (!isMainThread) {
    const lists = [];
    for (let i = 0; i < 200; i++) lists.push(Buffer.alloc(10000 + i, i));
    parentPort.postMessage(digest(Buffer.concat(lists)));
} else {
    (async () => {
        const text = Buffer.from(Array.from({ length: 50000 }, (_, i) => `${i * 7919} `).join(""));
        for (let round = 0; round < 5; round++) {
            const packed = await Promise.all(Array.from({ length: 8 }, (_, i) => promisify(gzip)(text.subarray(i * 1000))));
            const back = await Promise.all(packed.map((data) => promisify(gunzip)(data)));
            console.log("zlib", digest(Buffer.concat(back)));
        }
        console.log("brotli", digest(await promisify(brotliCompress)(text)));
        console.log("pbkdf2", digest(await promisify(pbkdf2)("a", "b", 20000, 64, "sha512")));
        console.log("scrypt", digest(await promisify(scrypt)("a", "b", 64)));
        const workers = Array.from({ length: 6 }, () => new Promise((resolve, reject) => {
            const worker = new Worker(__filename);
            worker.on("message", resolve);
            worker.on("error", reject);
        }));
        console.log("workers", (await Promise.all(workers)).join(" "));
        for (let i = 0; i < 5; i++) console.log("child", execFileSync("sh", ["-c", `expr ${i} + 40`]).toString().trim());
    })();
}
